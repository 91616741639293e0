-- rule: renaming-object
set lock_timeout = '2s';
set statement_timeout = '30s';
alter index units_by_code rename to units_by_codes;
