-- Reads the list of the shared migrations that were applied, as the published tool sorts it.
--
-- Rows: name
select name from public.pgmigrations order by run_on, id
