-- Reads the version of our own tables.
--
-- Rows: one; version, or null
select max(version) from ha_signer_schema
