-- rule: prefer-timestamp-tz
set lock_timeout = '2s';
set statement_timeout = '30s';
create table visits (id uuid primary key, at timestamp not null);
