-- rule: ban-alter-generated-expression
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units alter column whole set expression as (title || code);
