-- rule: renaming-column
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units rename column notes to remarks;
