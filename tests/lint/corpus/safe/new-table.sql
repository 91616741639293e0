set lock_timeout = '2s';
set statement_timeout = '30s';
create table ratings (
    id uuid primary key,
    unit_id uuid not null references units (id),
    stars smallint not null,
    comment text not null default '',
    created_at timestamptz not null default now(),
    constraint ratings_stars check (stars between 1 and 5),
    unique (unit_id, created_at)
);
