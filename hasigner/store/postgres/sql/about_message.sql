-- Finds what the database has about one message of a validator: rows that hold it, however they are written, what was
-- released of it, and the newest row of such a duty that holds another message. For people, and for messages that are
-- signed only where no row has them.
--
-- $1 rollup, $2 validator, $3 message hash, $4 duty types that fit, comma-separated, $5 slot (null: any)
-- Rows: AboutColumn
--
-- Of what is signed the newest 500 rows of the validator are read, so the time does not grow with the table.
with newest as materialized (
  select d.rollup_address, d.validator_address, d.slot, d.duty_type, d.block_index_within_checkpoint, d.status,
         d.message_hash, d.node_id
  from validator_duties d
  where d.rollup_address = $1::text and d.validator_address = $2::text
  order by d.rollup_address desc, d.validator_address desc, d.slot desc limit 500),
being_signed as materialized (
  select d.rollup_address, d.validator_address, d.slot, d.duty_type, d.block_index_within_checkpoint, d.status,
         d.message_hash, d.node_id
  from validator_duties d
  where d.validator_address = $2::text and d.message_hash = $3::text and d.status collate "POSIX" = 'signing' limit 10),
in_upper_case as materialized (
  select d.rollup_address, d.validator_address, d.slot, d.duty_type, d.block_index_within_checkpoint, d.status,
         d.message_hash, d.node_id
  from validator_duties d where {in_upper_case} order by d.slot desc limit 500),
released as materialized (
  select r.rollup_address, r.validator_address, r.slot, r.duty_type, r.block_index, 'released' as status, r.message_hash,
         r.node_id
  from ha_signer_released r
  where r.rollup_address = $1::text and r.validator_address = $2::text
  order by r.rollup_address desc, r.validator_address desc, r.slot desc limit 500)
(select 'row' as what, k.*
 from (select * from being_signed union select * from newest union select * from in_upper_case) k
 where lower(k.validator_address) = $2::text and lower(k.message_hash) = $3::text order by k.slot desc limit 3)
union all
(select 'released', r.* from released r where r.message_hash = $3::text limit 3)
union all
(select 'instead', n.* from newest n
 where n.duty_type = any (string_to_array($4::text, ',')) and ($5::bigint is null or n.slot = $5::bigint)
   and lower(n.message_hash) <> $3::text
 limit 1)
