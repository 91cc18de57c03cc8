-- Finds what of the tables is not as migrations make it: kinds of tables, columns, primary keys, indexes.
--
-- Rows: what is there, the statement that mends it (null: there is none), whether it harms signing or what is remembered
-- (else it is only slow)
--
-- Wider types than those of the migrations do no harm. Columns that are not there are found where they are needed: those
-- of validator_duties depend on the version of its schema.
with home as (
  select c.relnamespace
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'validator_duties' and n.nspname = any (current_schemas(true))
  order by array_position(current_schemas(true), n.nspname) limit 1),
wanted_columns (relname, attname, type) as (
  values ('validator_duties', 'rollup_address', 'character varying(42)'),
         ('validator_duties', 'validator_address', 'character varying(42)'),
         ('validator_duties', 'slot', 'bigint'),
         ('validator_duties', 'block_number', 'bigint'),
         ('validator_duties', 'checkpoint_number', 'bigint'),
         ('validator_duties', 'block_index_within_checkpoint', 'integer'),
         ('validator_duties', 'duty_type', 'character varying(30)'),
         ('validator_duties', 'status', 'character varying(20)'),
         ('validator_duties', 'message_hash', 'character varying(66)'),
         ('validator_duties', 'signature', 'character varying(132)'),
         ('validator_duties', 'node_id', 'character varying(255)'),
         ('validator_duties', 'lock_token', 'character varying(64)'),
         ('validator_duties', 'started_at', 'timestamp without time zone'),
         ('validator_duties', 'completed_at', 'timestamp without time zone'),
         ('validator_duties', 'expires_at', 'timestamp without time zone'),
         ('ha_signer_nodes', 'node_id', 'character varying(255)'),
         ('ha_signer_nodes', 'incarnation', 'character varying(16)'),
         ('ha_signer_nodes', 'former', 'character varying(16)[]'),
         ('ha_signer_nodes', 'registered_at', 'timestamp with time zone'),
         ('ha_signer_nodes', 'heartbeat_at', 'timestamp with time zone'),
         ('ha_signer_nodes', 'lease_until', 'timestamp with time zone'),
         ('ha_signer_nodes', 'witnessed_at', 'timestamp with time zone'),
         ('ha_signer_nodes', 'journal_incarnation', 'character varying(16)'),
         ('ha_signer_nodes', 'journal_asked', 'bigint'),
         ('ha_signer_nodes', 'journal_completed', 'bigint'),
         ('ha_signer_nodes', 'journal_lost', 'bigint'),
         ('ha_signer_nodes', 'journal_slots', 'text'),
         ('ha_signer_watermarks', 'rollup_address', 'character varying(42)'),
         ('ha_signer_watermarks', 'validator_address', 'character varying(42)'),
         ('ha_signer_watermarks', 'duty_type', 'character varying(30)'),
         ('ha_signer_watermarks', 'low_slot', 'bigint'),
         ('ha_signer_watermarks', 'high_slot', 'bigint'),
         ('ha_signer_watermarks', 'updated_at', 'timestamp with time zone'),
         ('ha_signer_released', 'rollup_address', 'character varying(42)'),
         ('ha_signer_released', 'validator_address', 'character varying(42)'),
         ('ha_signer_released', 'slot', 'bigint'),
         ('ha_signer_released', 'duty_type', 'character varying(30)'),
         ('ha_signer_released', 'block_index', 'integer'),
         ('ha_signer_released', 'message_hash', 'character varying(66)'),
         ('ha_signer_released', 'digest', 'character varying(66)'),
         ('ha_signer_released', 'signature', 'character varying(132)'),
         ('ha_signer_released', 'node_id', 'character varying(255)'),
         ('ha_signer_released', 'released_at', 'timestamp with time zone'),
         ('ha_signer_released', 'confirmed_at', 'timestamp with time zone'),
         ('ha_signer_key_switches', 'address', 'character varying(42)'),
         ('ha_signer_key_switches', 'is_enabled', 'boolean'),
         ('ha_signer_key_switches', 'changed_by', 'character varying(300)'),
         ('ha_signer_key_switches', 'changed_at', 'timestamp with time zone')),
wanted_keys (relname, columns) as (
  values ('validator_duties', 'rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint'),
         ('ha_signer_nodes', 'node_id'),
         ('ha_signer_watermarks', 'rollup_address, validator_address, duty_type'),
         ('ha_signer_released', 'rollup_address, validator_address, slot, duty_type, block_index'),
         ('ha_signer_key_switches', 'address')),
wanted_indexes (relname, name, definition) as (
  values ('validator_duties', 'idx_validator_duties_status', '(status, started_at)'),
         ('validator_duties', 'idx_validator_duties_node', '(node_id, started_at)'),
         ('validator_duties', 'idx_validator_duties_expiry', '(expires_at) where expires_at is not null'),
         ('ha_signer_released', 'ha_signer_released_at', '(released_at)')),
ours as (
  select c.oid, c.relname, c.relkind, c.relpersistence, c.oid::regclass::text as shown
  from pg_catalog.pg_class c join home h on h.relnamespace = c.relnamespace
  where c.relname in ('validator_duties', 'ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes',
                      'ha_signer_watermarks', 'ha_signer_released', 'ha_signer_key_switches')),
columns as (
  select o.shown, a.attname, quote_ident(a.attname) as quoted, format_type(a.atttypid, a.atttypmod) as type, w.type as wanted,
         a.atttypmod, a.atttypid, a.attnotnull and not a.atthasdef and a.attidentity = '' as is_demanded, w.attname is not null as is_known,
         o.relname
  from ours o join pg_catalog.pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
  left join wanted_columns w on w.relname = o.relname and w.attname = a.attname)
select o.shown || case when o.relkind = 'v' then ' is a view' when o.relkind = 'f' then ' is a foreign table'
                       when o.relkind = 'p' then ' is partitioned' when o.relkind <> 'r' then ' is not a table'
                       when o.relpersistence = 'u' then ' is unlogged, so a crash of the server empties it'
                       else ' is temporary' end as found,
       case when o.relkind = 'r' and o.relpersistence = 'u' then 'alter table ' || o.shown || ' set logged' end as mend,
       true as is_harmful
from ours o where o.relkind <> 'r' or o.relpersistence <> 'p'
union all
select c.shown || '.' || c.quoted || ' is ' || c.type || ' and not ' || c.wanted,
       'alter table ' || c.shown || ' alter column ' || c.quoted || ' type ' || c.wanted
         || case when c.wanted in ('bigint', 'integer') then ' using ' || c.quoted || '::' || c.wanted else '' end, true
from columns c
where c.type <> c.wanted and not (c.wanted = 'integer' and c.type = 'bigint')
  and not (c.wanted like 'character varying(%)' and c.type in ('text', 'character varying'))
  and not (c.wanted like 'character varying(%)' and c.atttypid = 'varchar'::regtype
           and c.atttypmod - 4 >= substring(c.wanted from '[0-9]+')::int)
union all
select c.shown || '.' || c.quoted || ' must have a value, which no signer knows',
       'alter table ' || c.shown || ' alter column ' || c.quoted || ' drop not null', true
from columns c
where not c.is_known and c.is_demanded and c.relname in (select w.relname from wanted_columns w)
union all
select o.shown || '.' || w.attname || ' is missing', null, true
from wanted_columns w join ours o on o.relname = w.relname
where w.relname <> 'validator_duties' and w.attname not like 'journal\_%' and not exists (select from columns c where c.relname = w.relname and c.attname = w.attname)
union all
select o.shown || ' has no primary key (' || w.columns || ') that is valid and checked at once',
       'alter table ' || o.shown || coalesce(' drop constraint ' || (
         select quote_ident(k.conname) from pg_catalog.pg_constraint k where k.conrelid = o.oid and k.contype = 'p') || ',', '')
         || ' add primary key (' || w.columns || ')', true
from wanted_keys w join ours o on o.relname = w.relname
where o.relkind = 'r' and not exists (
  select from pg_catalog.pg_index i
  where i.indrelid = o.oid and i.indisprimary and i.indisunique and i.indisvalid and i.indimmediate
    and w.columns = (select string_agg(a.attname, ', ' order by k.position)
                     from unnest(i.indkey) with ordinality as k (attnum, position)
                     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum))
union all
select 'the index ' || w.name || ' on ' || o.shown || case when x.oid is null then ' is missing' else ' is not valid' end,
       case when x.oid is null then 'create index ' || w.name || ' on ' || o.shown || ' ' || w.definition
            else 'reindex index ' || x.oid::regclass::text end, false
from wanted_indexes w join ours o on o.relname = w.relname
left join home h on true
left join pg_catalog.pg_class x on x.relname = w.name and x.relnamespace = h.relnamespace and x.relkind = 'i'
where o.relkind = 'r' and not exists (
    select from pg_catalog.pg_index i where i.indrelid = o.oid and i.indexrelid = x.oid and i.indisvalid)
  -- The table has that column from a later version of its schema on.
  and (w.name <> 'idx_validator_duties_expiry' or exists (select from columns c where c.relname = 'validator_duties' and c.attname = 'expires_at'))
order by 3 desc, 1
