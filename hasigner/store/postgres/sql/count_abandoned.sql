-- Counts what remove_abandoned.sql would delete without a limit.
--
-- $1 node id
-- Rows: one, the count
select count(*) from ha_signer_nodes n, validator_duties d
where n.node_id = $1::text and d.status = 'signing' and {fenced_row_of_node}
  and {token_of_former_incarnation} and not {token_of_this_incarnation}
