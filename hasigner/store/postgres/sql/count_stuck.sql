-- Counts what remove_stuck.sql would delete without a limit.
--
-- $1 node id, $2 age in ms
-- Rows: one, the count
select count(*) from ha_signer_nodes n, validator_duties d
where n.node_id = $1::text and d.status = 'signing'
  and d.started_at <= {statement_time_utc} - $2::bigint * interval '1 millisecond'
  and {fenced_row_of_node} and ({token_of_this_incarnation} or {token_of_former_incarnation})
