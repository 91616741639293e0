-- rule: require-concurrent-index-deletion
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
drop index units_by_title;
