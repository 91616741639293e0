begin;
set local lock_timeout = '3s';
set local statement_timeout = '1min';
alter table if exists units add column if not exists rating numeric(3, 2);
commit;
