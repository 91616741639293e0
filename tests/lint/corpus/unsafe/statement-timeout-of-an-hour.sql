-- rule: statement-timeout-off
set lock_timeout = '2s';
set statement_timeout = '30s';
set statement_timeout = '1h';
alter table units add column remarks text;
