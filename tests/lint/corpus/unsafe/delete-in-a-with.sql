-- rule: delete-without-where
set lock_timeout = '2s';
set statement_timeout = '30s';
with gone as (delete from jobs returning id)
insert into leftovers (id) select id from gone;
