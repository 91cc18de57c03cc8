-- The list of the shared migrations, as node-pg-migrate makes it, which is the published package's tool.
create table public.pgmigrations (id serial primary key, name varchar(255) not null, run_on timestamp not null)
