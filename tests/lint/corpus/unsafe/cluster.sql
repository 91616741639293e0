-- rule: rewrites-table
set lock_timeout = '2s';
set statement_timeout = '30s';
cluster units using units_by_code;
