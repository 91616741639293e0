-- rule: adding-field-with-default
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add column whole text generated always as (code || title) stored;
