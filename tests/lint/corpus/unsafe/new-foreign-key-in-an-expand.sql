-- rule: ban-new-write-restriction
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table jobs add constraint jobs_unit foreign key (unit_id) references units (id) not valid;
