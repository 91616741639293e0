-- rule: ban-truncate-cascade
set lock_timeout = '2s';
set statement_timeout = '30s';
truncate universities cascade;
