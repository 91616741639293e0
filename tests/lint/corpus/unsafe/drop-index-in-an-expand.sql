-- rule: ban-drop-index
set lock_timeout = '2s';
set statement_timeout = '30s';
drop index concurrently units_by_title;
