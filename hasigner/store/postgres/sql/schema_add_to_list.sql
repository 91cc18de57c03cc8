-- Adds a migration to the list of those that were applied.
--
-- $1 name
--
-- The published tool sorts its list by time; a name never gets an earlier time than those before it, whatever the zone.
insert into public.pgmigrations (name, run_on)
select $1, greatest(localtimestamp, max(run_on)) from public.pgmigrations
