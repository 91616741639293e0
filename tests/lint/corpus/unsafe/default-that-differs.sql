-- rule: adding-field-with-default
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add column token uuid default gen_random_uuid();
