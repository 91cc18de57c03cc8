-- Tells which session this is.
--
-- Rows: one; process id, start of the session, start of the server
select pid, backend_start, pg_postmaster_start_time() from pg_stat_activity where pid = pg_backend_pid()
