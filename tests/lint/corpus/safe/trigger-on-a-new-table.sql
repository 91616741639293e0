set lock_timeout = '2s';
set statement_timeout = '30s';
create table notes (id uuid primary key, body text not null);
create function note() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger noted before insert on notes for each row execute function note();
