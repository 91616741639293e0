-- rule: changing-column-type
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table jobs alter column error type jsonb using error::jsonb;
