-- rule: ban-alter-extension
set lock_timeout = '2s';
set statement_timeout = '30s';
alter extension pgcrypto update;
