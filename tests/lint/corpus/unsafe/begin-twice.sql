-- rule: transaction-nesting
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
begin;
create table notes (id uuid primary key);
commit;
