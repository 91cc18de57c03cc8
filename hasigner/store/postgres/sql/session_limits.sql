-- Limits how long the server lets a statement work, and wait for a lock, from the next statement of the session on.
--
-- $1 time of a statement, $2 wait for a lock; in ms, 0 is without limit
-- Rows: one, which is not looked at
select set_config('statement_timeout', $1, false) as statement, set_config('lock_timeout', $2, false) as lock
