-- rule: require-concurrent-index-creation
set lock_timeout = '2s';
set statement_timeout = '30s';
create index units_by_title on units (title);
