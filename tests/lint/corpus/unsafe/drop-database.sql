-- rule: ban-drop-database
set lock_timeout = '2s';
set statement_timeout = '30s';
drop database ratemyunit;
