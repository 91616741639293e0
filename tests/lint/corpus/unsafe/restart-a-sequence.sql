-- rule: ban-alter-sequence-values
set lock_timeout = '2s';
set statement_timeout = '30s';
alter sequence numbers restart with 1;
