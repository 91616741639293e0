-- rule: ban-alter-row-level-security
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units enable row level security;
