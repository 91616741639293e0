-- rule: ban-drop-type
set lock_timeout = '2s';
set statement_timeout = '30s';
drop type mood;
