select string_agg(n.nspname || case when has_schema_privilege(n.oid, 'usage') then '' else ' (no usage)' end, ', '
                  order by n.nspname)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname = 'validator_duties' and c.relkind in ('r', 'p') and n.nspname <> all (current_schemas(true))
