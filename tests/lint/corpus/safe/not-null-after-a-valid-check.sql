-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add constraint units_titled check (title is not null) not valid;
alter table units validate constraint units_titled;
alter table units alter column title set not null;
alter table units drop constraint units_titled;
