-- Deletes rows `signing` of a node that are older than an age: the oldest that no other transaction has locked.
--
-- $1 node id, $2 limit, $3 age in ms
with chosen as materialized (
  select d.ctid as row_ctid from ha_signer_nodes n, validator_duties d
  where n.node_id = $1::text and d.status = 'signing'
    and d.started_at <= {statement_time_utc} - $3::bigint * interval '1 millisecond'
    and {fenced_row_of_node} and ({token_of_this_incarnation} or {token_of_former_incarnation})
  order by d.started_at limit $2::bigint
  for update of d skip locked)
delete from validator_duties v where v.ctid = any (array (select c.row_ctid from chosen c))
