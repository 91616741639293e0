-- rule: ban-create-domain-with-constraint
set lock_timeout = '2s';
set statement_timeout = '30s';
create domain titled as text check (value <> '');
