-- rule: ban-revoke
set lock_timeout = '2s';
set statement_timeout = '30s';
revoke update on units from rmu_app;
