-- rule: ban-alter-policy-roles
set lock_timeout = '2s';
set statement_timeout = '30s';
alter policy own on units to rmu_app;
