-- rule: ban-drop-column
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table leftovers drop column body;
