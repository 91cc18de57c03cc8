-- Says which standbys commits wait for.
--
-- $1 whether the standbys that are connected are looked at
-- Rows: one: synchronous_standby_names, number of standbys needed, number connected (null: not looked at, or this role
-- cannot see it)
--
-- Only a member of pg_read_all_stats sees which standbys are connected. `sync` and `quorum` are those that commits can
-- wait for now: one that is still catching up is not among them.
select s.names as synchronous_standbys,
       coalesce(substring(s.names from '(?i)^[[:space:]]*(?:any[[:space:]]|first[[:space:]])?[[:space:]]*([0-9]+)[[:space:]]*[(]')::int,
                case when s.names ~ '[^[:space:]]' then 1 else 0 end) as needed,
       case when $1::boolean and pg_has_role('pg_read_all_stats', 'usage') then
         (select count(*) from pg_stat_replication r where r.sync_state in ('sync', 'quorum')) end as connected
from (select current_setting('synchronous_standby_names') as names) s
