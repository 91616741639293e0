-- rule: ban-replica-identity
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units replica identity full;
