-- rule: ban-drop-domain
set lock_timeout = '2s';
set statement_timeout = '30s';
drop domain titled;
