-- rule: ban-drop-function
set lock_timeout = '2s';
set statement_timeout = '30s';
drop function score(uuid);
