-- Looks for the list of the shared migrations, for the table of our own version, and for tables of duties that the
-- search path does not show.
--
-- Rows: one; whether pgmigrations is there, whether ha_signer_schema is there (null: neither is), the schemas
--
-- Names are looked up in the catalogs: to_regclass() would see what was committed after the snapshot.
select bool_or(c.relname = 'pgmigrations' and n.nspname = 'public'),
       bool_or(c.relname = 'ha_signer_schema' and n.nspname = any (current_schemas(true))),
       ({schemas_elsewhere})
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname in ('pgmigrations', 'ha_signer_schema')
