-- Inserts rows `signed` for the duties of a batch that have no row yet: a claim and its record at once.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 block number, $7 checkpoint number,
-- $8 message hash, $9 lock token, $10 signature (arrays, in the form for many)
-- $11 node id, $12 hours to keep the row (null: without limit), $13 lock time-out in ms,
-- $14 oid of the table, $15 timeline (8 hex digits, or empty) and $16 oid of ha_signer_released that are known: where
-- the last is another, no table is the known one
-- Rows: the columns of look.sql, and `applied`: of each element that is applied its `ord` alone, of each other one what
-- look.sql gives
--
-- All that it does stands in schema/postgres/ha_signer.up.sql. A database may lack the function: session_check.sql tells.
select * from ha_signer_claim_signed(
  {many: $1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::bigint[], $7::bigint[], $8::text[], $9::text[],
         $10::text[]}{one: array[$1::text], array[$2::text], array[$3::bigint], array[$4::text], array[$5::int],
         array[$6::bigint], array[$7::bigint], array[$8::text], array[$9::text], array[$10::text]},
  $11::text, $12::int, $13::text, case when 'ha_signer_released'::regclass = $16::oid then $14::oid else 0 end, $15::text,
  {below v2: 1}{from v2: {below v3: 2}}{from v3: 3})
