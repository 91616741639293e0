-- rule: require-lock-timeout
alter table units add column remarks text;
set lock_timeout = '2s';
