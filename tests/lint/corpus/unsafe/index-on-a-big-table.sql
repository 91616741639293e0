-- rule: index-on-big-table
-- rows: units=2000000
set lock_timeout = '2s';
set statement_timeout = '30s';
create index units_by_title on units (title);
