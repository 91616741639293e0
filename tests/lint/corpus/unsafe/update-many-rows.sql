-- rule: many-rows-at-once
-- rows: units=2000000
set lock_timeout = '2s';
set statement_timeout = '30s';
update units set notes = null where notes = '';
