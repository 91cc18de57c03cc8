-- Finds rows to import that contradict what is in the table.
--
-- $1 to $15: arrays, a column each, in the order of DutyColumn
-- Rows: `ord`, message hash that is in the table
with imported as materialized (
  select k.*, d.status as own_status, d.message_hash as own_hash
  from {rows_to_import}
  {row_under_own_key}),
{conflicts}
select c.ord, c.message_hash from conflicts c order by c.ord
