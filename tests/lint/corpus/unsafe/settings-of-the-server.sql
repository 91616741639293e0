-- rule: ban-alter-system-options
set lock_timeout = '2s';
set statement_timeout = '30s';
alter system set work_mem = '1GB';
