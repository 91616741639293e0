-- rule: ban-char-field
set lock_timeout = '2s';
set statement_timeout = '30s';
create table codes (code char(8) primary key);
