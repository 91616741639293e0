-- rule: ban-alter-database-options
set lock_timeout = '2s';
set statement_timeout = '30s';
alter database ratemyunit set timezone = 'UTC';
