-- Lists duties, the newest slots first.
--
-- $1 rollup, $2 validators, each between commas, $3 from slot, $4 to slot, $5 duty type, $6 status, $7 node id (null: any), $8 limit
-- Rows: DutyColumn
--
-- Jumps from validator to validator in the primary key and takes the newest slots of each, since there is no index on
-- the slot alone.
with recursive validators (rollup, validator) as (
  (select d.rollup_address, d.validator_address from validator_duties d
   order by d.rollup_address, d.validator_address limit 1)
  union all
  select d.rollup_address, d.validator_address from validators v
  cross join lateral (
    select d.rollup_address, d.validator_address from validator_duties d
    where (d.rollup_address, d.validator_address) > (v.rollup, v.validator)
    order by d.rollup_address, d.validator_address limit 1) d)
select {duty_columns} from validators v
cross join lateral (
  select * from validator_duties d
  where d.rollup_address = v.rollup and d.validator_address = v.validator
    and d.slot >= coalesce($3::bigint, -9223372036854775808) and d.slot <= coalesce($4::bigint, 9223372036854775807)
    and ($5::text is null or d.duty_type = $5::text) and ($6::text is null or d.status = $6::text)
    and ($7::text is null or d.node_id = $7::text)
  order by d.slot desc limit $8::bigint) d
where ($1::text is null or lower(v.rollup) = $1::text) and ($2::text is null or strpos($2::text, ',' || lower(v.validator) || ',') > 0)
  -- For a node without rows nothing is walked through.
  and ($7::text is null or (select true from validator_duties e where e.node_id = $7::text order by e.started_at limit 1))
{newest_first}
