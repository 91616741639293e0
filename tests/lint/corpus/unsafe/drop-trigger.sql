-- rule: ban-drop-trigger
set lock_timeout = '2s';
set statement_timeout = '30s';
drop trigger noted on units;
