set lock_timeout = '2s';
set statement_timeout = '30s';
reindex index concurrently units_by_code;
