-- rule: enum-value-renamed
set lock_timeout = '2s';
set statement_timeout = '30s';
alter type mood rename value 'glad' to 'happy';
