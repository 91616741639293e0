-- rule: does-nothing
set lock_timeout = '2s';
set statement_timeout = '30s';
-- create table visits (id uuid primary key);
