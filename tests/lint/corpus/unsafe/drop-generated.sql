-- rule: ban-drop-generated-expression
set lock_timeout = '2s';
set statement_timeout = '30s';
alter table units alter column whole drop expression;
