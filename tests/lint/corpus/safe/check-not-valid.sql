-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add constraint units_titled check (title <> '') not valid;
