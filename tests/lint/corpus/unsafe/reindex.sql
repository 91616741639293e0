-- rule: require-concurrent-reindex
set lock_timeout = '2s';
set statement_timeout = '30s';
reindex index units_by_code;
