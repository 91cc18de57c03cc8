-- Makes sure that signatures that were read are as durable as records of ours: writes a row of ours, durably.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 message hash, $7 signature (arrays, in
-- the form for many)
-- $8 node id; $9 oid of the table, $10 timeline (8 hex digits, or empty) and $11 oid of ha_signer_released that are known
-- Rows: `ord` of what is signed so, and null if the row of the node was written
--
-- The rows are those of the statement's snapshot, so their commits stand in the log before this one.
with {durably},
written as (
  update ha_signer_nodes n set witnessed_at = clock_timestamp() from durably where n.node_id = $8::text returning 1)
select null::bigint from written
union all
select k.ord
from {batch: {duty_key}, $6::text message_hash, $7::text signature}
cross join lateral (
  select from validator_duties d
  where {whole_key} and d.status collate "C" = 'signed' and lower(d.message_hash) = k.message_hash
    and lower(d.signature) = k.signature and {table_is_known}
  limit 1) d
{where_no_watermark_forbids}
and not exists (
  select from ha_signer_released r
  where {released_of_key}
    and (k.message_hash not in (r.message_hash, r.digest)
         or r.message_hash <> r.digest and r.signature is distinct from k.signature))
