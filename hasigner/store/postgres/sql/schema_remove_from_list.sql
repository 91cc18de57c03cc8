-- Takes a migration out of the list of those that were applied.
--
-- $1 name
delete from public.pgmigrations where name = $1
