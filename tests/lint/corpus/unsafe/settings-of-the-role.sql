-- rule: ban-alter-role-options
set lock_timeout = '2s';
set statement_timeout = '30s';
alter role rmu_app set statement_timeout = 0;
