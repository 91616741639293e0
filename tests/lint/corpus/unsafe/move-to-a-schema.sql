-- rule: ban-set-schema
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units set schema archive;
