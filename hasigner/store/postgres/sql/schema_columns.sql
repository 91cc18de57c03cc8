-- Finds the columns of the shared tables.
--
-- Rows: whether it is a column of validator_duties, name, type
select a.attrelid::regclass::text ~ 'validator_duties', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute a
where a.attrelid in (to_regclass('validator_duties'), to_regclass('schema_version')) and a.attnum > 0 and not a.attisdropped
order by a.attnum
