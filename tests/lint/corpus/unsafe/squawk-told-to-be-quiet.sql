-- rule: ban-drop-table
set lock_timeout = '2s';
set statement_timeout = '30s';
-- squawk-ignore ban-drop-table
drop table leftovers;
