-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
create unique index concurrently units_titles on units (title);
