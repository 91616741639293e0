-- rule: ban-drop-policy
set lock_timeout = '2s';
set statement_timeout = '30s';
drop policy own on units;
