set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
set local lock_timeout = '1s';
alter table units add column remarks text;
alter table units add column more text;
commit;
