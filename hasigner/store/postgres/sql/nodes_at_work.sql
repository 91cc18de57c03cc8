-- Finds nodes that have begun a row within the last two days, where there is no registry of nodes yet.
--
-- Rows: node id
--
-- A session of another program may have written its times in a zone of its own, up to 14 hours from UTC.
select distinct d.node_id
from validator_duties d
where d.status in ('signing', 'signed') and d.started_at > localtimestamp - interval '2 days 14 hours'
order by 1 limit 20
