-- Keeps other migrations away until the session ends, if none is at work.
--
-- Rows: one; `t` if none was at work
--
-- The number is that of node-pg-migrate, which is the published package's tool.
select pg_try_advisory_lock(7241865325823964)
