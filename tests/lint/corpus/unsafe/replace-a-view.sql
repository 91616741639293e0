-- rule: ban-replace-view-function
set lock_timeout = '2s';
set statement_timeout = '30s';
create or replace view overview as select code from units;
