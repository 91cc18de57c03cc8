-- Names the roles to which ha_signer.up.sql, in the same transaction, grants what a signer needs.
--
-- $1 names, an array
-- Rows: one, which is not looked at
select set_config('ha_signer.grant_to', $1, true)
