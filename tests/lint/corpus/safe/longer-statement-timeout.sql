set lock_timeout = '2s';
set statement_timeout = '30s';
set statement_timeout = '5min';
create index concurrently units_by_title on units (title);
