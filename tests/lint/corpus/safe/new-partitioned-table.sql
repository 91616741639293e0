set lock_timeout = '2s';
set statement_timeout = '30s';
create table visits (id uuid not null, at timestamptz not null) partition by range (at);
create table visits_2026 partition of visits for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00');
