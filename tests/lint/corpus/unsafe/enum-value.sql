-- rule: ban-add-enum-value
set lock_timeout = '2s';
set statement_timeout = '30s';
alter type mood add value 'calm' after 'glad';
