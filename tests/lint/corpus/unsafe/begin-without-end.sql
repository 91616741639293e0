-- rule: ban-uncommitted-transaction
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
create table notes (id uuid primary key);
