-- rule: constraint-missing-not-valid
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
alter table units add constraint units_titled check (title <> '') not valid;
alter table units validate constraint units_titled;
commit;
