-- The same as session_check.sql, for servers that refuse the functions which tell the timeline.
--
-- Rows: one, with the columns that session_check.cpp names
{database_found},
  null as system_id,
  null as timeline
from there
