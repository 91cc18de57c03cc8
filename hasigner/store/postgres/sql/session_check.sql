-- Reads in one statement all that decides whether a session may be used.
--
-- Rows: one, with the columns that session_check.cpp names
--
-- Which server answers, and on which timeline: by these a former primary that a failover has left behind is told apart.
{database_found},
  (select system_identifier from pg_control_system()) as system_id,
  case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline
from there
