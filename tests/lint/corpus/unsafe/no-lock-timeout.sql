-- rule: require-lock-timeout
set statement_timeout = '30s';
alter table units add column remarks text;
