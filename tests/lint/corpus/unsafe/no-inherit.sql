-- rule: ban-detach-inheritance
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table visits_2025 no inherit visits;
