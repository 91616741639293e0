-- rule: ban-add-composite-attribute
set lock_timeout = '2s';
set statement_timeout = '30s';
alter type place add attribute floor int;
