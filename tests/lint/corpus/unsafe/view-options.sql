-- rule: ban-alter-view-options
set lock_timeout = '2s';
set statement_timeout = '30s';
alter view overview set (security_barrier = true);
