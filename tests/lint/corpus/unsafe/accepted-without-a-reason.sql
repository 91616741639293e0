-- rule: accepted-without-reason
set lock_timeout = '2s';
set statement_timeout = '30s';
-- accept require-concurrent-index-creation: ok
create index units_by_title on units (title);
