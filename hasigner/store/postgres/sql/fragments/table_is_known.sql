-- $9 oid of the table that is known. A table that was dropped and made again under an open session lacks what was
-- signed.
d.tableoid = $9::oid
