-- rule: ban-create-policy
set lock_timeout = '2s';
set statement_timeout = '30s';
create policy own on units using (true);
