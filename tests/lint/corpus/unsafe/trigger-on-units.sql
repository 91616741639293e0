-- rule: trigger-on-live-table
set lock_timeout = '2s';
set statement_timeout = '30s';
create trigger noted before insert on units for each row execute function note();
