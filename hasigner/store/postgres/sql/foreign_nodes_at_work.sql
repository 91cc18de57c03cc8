-- Finds nodes of the published package that have begun a row within the last two days.
--
-- Rows: node id
--
-- A session of another program may have written its times in a zone of its own, up to 14 hours from UTC.
select distinct d.node_id
from validator_duties d
where d.status in ('signing', 'signed') and d.started_at > localtimestamp - interval '2 days 14 hours'
  and not exists (select from ha_signer_nodes n where left(d.lock_token, 16) = n.incarnation
                  or left(d.lock_token, 16) = any (n.former))
order by 1 limit 20
