-- rule: adding-serial-primary-key-field
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table leftovers add column number bigserial primary key;
