-- rule: ban-drop-schema
set lock_timeout = '2s';
set statement_timeout = '30s';
drop schema archive;
