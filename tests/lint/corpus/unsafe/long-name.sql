-- rule: identifier-too-long
set lock_timeout = '2s';
set statement_timeout = '30s';
create table visits_of_units_by_students_of_universities_in_the_winter_of_2026 (id uuid primary key);
