-- Asks what session_check_without_timeline.sql leaves out, and needs no right on a table.
--
-- Rows: one, which is not looked at
select
  {which_server}
