set lock_timeout = '2s';
set statement_timeout = '30s';
create table visits (id uuid primary key, at timestamptz not null);
create index visits_by_time on visits (at);
create unique index visits_once on visits (id, at);
