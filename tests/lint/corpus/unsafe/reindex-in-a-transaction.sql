-- rule: not-in-transaction
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
reindex table concurrently units;
commit;
