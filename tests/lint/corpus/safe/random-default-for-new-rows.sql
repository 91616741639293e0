set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add column token uuid;
alter table units alter column token set default gen_random_uuid();
