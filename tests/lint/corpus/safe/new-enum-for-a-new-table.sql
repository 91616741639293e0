set lock_timeout = '2s';
set statement_timeout = '30s';
create type mood as enum ('glad', 'sad');
create table moods (id uuid primary key, mood mood not null);
