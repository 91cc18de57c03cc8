-- Lists the nodes that keep a journal, or whose earlier incarnations did.
--
-- Rows: node id, heartbeat, whether its lease runs, whether the incarnation that is registered keeps one, the latest round
-- that it asked for, that it completed, that it asked for because of a loss, the slots that it has reached
select n.node_id, extract(epoch from n.heartbeat_at)::text as heartbeat, n.lease_until > clock_timestamp() as is_alive,
       n.journal_incarnation = n.incarnation as keeps_journal, coalesce(n.journal_asked, 0) as asked,
       coalesce(n.journal_completed, 0) as completed, coalesce(n.journal_lost, 0) as lost, n.journal_slots as slots
from ha_signer_nodes n
where n.journal_incarnation is not null
order by n.node_id
