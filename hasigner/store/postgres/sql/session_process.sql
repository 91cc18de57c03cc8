-- Tells which process of the server serves this session: behind a pooler it may change.
--
-- Rows: one; process id
select pg_backend_pid()
