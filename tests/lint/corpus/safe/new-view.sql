set lock_timeout = '2s';
set statement_timeout = '30s';
create view overview as select code, title from units;
