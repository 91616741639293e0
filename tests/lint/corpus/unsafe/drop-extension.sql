-- rule: ban-drop-extension
set lock_timeout = '2s';
set statement_timeout = '30s';
drop extension pgcrypto;
