-- rule: ban-alter-identity
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table leftovers alter column number set generated always;
