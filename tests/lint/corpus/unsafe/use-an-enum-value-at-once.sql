-- rule: enum-value-used-at-once
-- phase: contract
set lock_timeout = '2s';
set statement_timeout = '30s';
begin;
alter type mood add value 'calm' after 'glad';
insert into moods values ('calm');
commit;
