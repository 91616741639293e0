-- rule: ban-drop-column
set lock_timeout = '2s';
set statement_timeout = '30s';
/* phase: contract, and lock_timeout is fine */
alter table leftovers drop column body; -- concurrently not valid
