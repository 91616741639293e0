-- rule: ban-concurrent-index-creation-in-transaction
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
create index concurrently units_by_title on units (title);
commit;
