-- Tells whether another session of the server is carrying out a claim.
--
-- $1 and $2 what the two kinds of claims begin with
-- Rows: one; is_at_work
select exists (
  select from pg_catalog.pg_stat_activity
  where pid <> pg_backend_pid() and state <> 'idle'
    and (left(query, length($1::text)) = $1::text or left(query, length($2::text)) = $2::text)) as is_at_work
