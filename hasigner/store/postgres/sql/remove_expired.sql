-- Deletes signed rows whose time to be kept is over: the oldest that no other transaction has locked. From version 3 of
-- the tables.
--
-- $1 limit
with chosen as materialized (
  select d.ctid as row_ctid from validator_duties d where d.status = 'signed' and d.expires_at <= {statement_time_utc}
  order by d.started_at limit $1::bigint
  for update of d skip locked)
delete from validator_duties v where v.ctid = any (array (select c.row_ctid from chosen c))
