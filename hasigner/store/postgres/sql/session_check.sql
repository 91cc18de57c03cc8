-- Reads in one statement all that decides whether a session may be used.
--
-- Rows: one, with the columns that session_check.cpp names
--
-- Which server answers, and on which timeline: by these a former primary that a failover has left behind is told apart.
{database_found},
  {which_server}
from there
