-- Reads the version of the shared tables: one row, unless another program has written into it.
--
-- Rows: version, the highest first
select version from schema_version order by version desc
