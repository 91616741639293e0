-- rule: rewrites-table
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table jobs set unlogged;
