set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add column remarks text;
