-- rule: cannot-judge
set lock_timeout = '2s';
set statement_timeout = '30s';
do $$ begin execute 'drop table ' || 'units'; end $$;
