-- rule: ban-alter-function-options
set lock_timeout = '2s';
set statement_timeout = '30s';
alter function score(uuid) security definer;
