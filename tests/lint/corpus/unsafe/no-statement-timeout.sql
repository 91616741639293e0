-- rule: require-statement-timeout
set lock_timeout = '2s';
alter table units add column remarks text;
