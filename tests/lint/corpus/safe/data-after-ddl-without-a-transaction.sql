set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units add column remarks text;
update units set remarks = notes where id = '5f0c3a53-2b1e-4a8e-9d3f-0e2f6a1b7c44';
