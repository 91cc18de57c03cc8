-- Tells whether the server is a standby, on which nothing can be written.
--
-- Rows: one; `t` or `f`
select pg_is_in_recovery()
