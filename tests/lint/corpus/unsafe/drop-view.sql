-- rule: ban-drop-view
set lock_timeout = '2s';
set statement_timeout = '30s';
drop view overview;
