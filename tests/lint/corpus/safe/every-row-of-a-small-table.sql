-- rows: universities=44
set lock_timeout = '2s';
set statement_timeout = '30s';
update universities set name = trim(name);
