-- Registers an incarnation of a node, unless another incarnation of it is alive.
--
-- $1 node id, $2 incarnation, $3 lease in ms, $4 heartbeat at which the other incarnation has been silent long enough
-- (as holder.sql shows it; null: none)
-- Rows: one if it is registered now
--
-- Earlier incarnations are remembered so that their rows are known for ours. The oldest are forgotten; what might still
-- be theirs counts as foreign then.
insert into ha_signer_nodes as n (node_id, incarnation, registered_at, heartbeat_at, lease_until)
values ($1::text, $2::text, clock_timestamp(), clock_timestamp(),
        clock_timestamp() + $3::bigint * interval '1 millisecond')
on conflict (node_id) do update
  set former = case n.incarnation when excluded.incarnation then n.former
               else (array_remove(n.former, excluded.incarnation) || n.incarnation)[
                      greatest(1, cardinality(array_remove(n.former, excluded.incarnation)) - 4094):] end,
      incarnation = excluded.incarnation, registered_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
      lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
  where n.lease_until <= clock_timestamp() or n.incarnation = excluded.incarnation
     or extract(epoch from n.heartbeat_at)::text = $4::text
returning 1
