-- $9 oid of the table that is known, $11 that of ha_signer_released. A table that was dropped and made again under an open
-- session lacks what was signed.
d.tableoid = $9::oid and (select 'ha_signer_released'::regclass = $11::oid)
