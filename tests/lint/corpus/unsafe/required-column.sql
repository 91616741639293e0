-- rule: adding-required-field
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table leftovers add column weight bigint not null;
