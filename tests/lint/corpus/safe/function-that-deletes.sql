set lock_timeout = '2s';
set statement_timeout = '30s';
create function tidy_up() returns void language plpgsql as $body$
begin
    delete from jobs;
    truncate leftovers;
end
$body$;
