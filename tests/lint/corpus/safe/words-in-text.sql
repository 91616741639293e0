set lock_timeout = '2s';
set statement_timeout = '30s';
insert into leftovers (id, body) values ('5f0c3a53-2b1e-4a8e-9d3f-0e2f6a1b7c44', 'drop table units; truncate jobs; -- lock table');
