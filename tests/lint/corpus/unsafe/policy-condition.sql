-- rule: ban-alter-policy-condition
set lock_timeout = '2s';
set statement_timeout = '30s';
alter policy own on units using (false);
