-- rule: old-writes-omit
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table jobs alter column state drop default;
