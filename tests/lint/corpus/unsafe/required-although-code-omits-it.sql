-- rule: code-still-writes-null
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add constraint units_sessions check (sessions is not null) not valid;
alter table units validate constraint units_sessions;
alter table units alter column sessions set not null;
