set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units alter column code set statistics 500;
create statistics units_both on code, title from units;
