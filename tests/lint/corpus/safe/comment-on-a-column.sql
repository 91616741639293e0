set lock_timeout = '2s';
set statement_timeout = '30s';
comment on column units.code is 'as the catalogue shows it';
