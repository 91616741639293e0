set lock_timeout = '2s';
set statement_timeout = '30s';
create function score(uuid) returns bigint language sql stable as $$
    select count(*) from units where id = $1 -- drop table units;
$$;
