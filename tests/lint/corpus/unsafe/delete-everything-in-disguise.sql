-- rule: delete-without-where
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
delete from jobs where true;
