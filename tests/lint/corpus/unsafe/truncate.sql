-- rule: truncate
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
truncate leftovers;
