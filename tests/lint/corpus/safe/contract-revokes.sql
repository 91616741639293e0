-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
revoke update on leftovers from rmu_app;
