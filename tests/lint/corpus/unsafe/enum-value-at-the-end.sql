-- rule: require-enum-value-ordering
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter type mood add value 'calm';
