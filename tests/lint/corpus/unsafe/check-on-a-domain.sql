-- rule: ban-alter-domain-with-add-constraint
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter domain titled add constraint short check (length(value) < 300);
