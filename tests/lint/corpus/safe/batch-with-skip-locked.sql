-- rows: jobs=400000
set lock_timeout = '2s';
set statement_timeout = '30s';
with done as (select id from jobs where state = 'done' order by id limit 1000 for update skip locked)
delete from jobs using done where jobs.id = done.id and jobs.id in (select id from done limit 1000);
