-- Finds sessions of the server by their process ids.
--
-- $1 process ids, an array
-- Rows: process id, start of the session, start of the server
select pid, backend_start, pg_catalog.pg_postmaster_start_time() from pg_catalog.pg_stat_activity
where pid = any ($1::int[])
