-- Lists duties that are being signed, the newest slots first. These are few, so nothing is walked through as in
-- duties.sql.
--
-- $1 rollup, $2 validators, each between commas, $3 from slot, $4 to slot, $5 duty type, $6 status (not null),
-- $7 node id (null: any), $8 limit
-- Rows: DutyColumn
--
-- `d.slot + 0` and the collation keep the planner from indexes that lead through all that was signed.
select {duty_columns} from validator_duties d
where d.status = 'signing' and $6::text is not null and ($1::text is null or lower(d.rollup_address) = $1::text)
  and ($2::text is null or strpos($2::text, ',' || lower(d.validator_address) || ',') > 0)
  and d.slot + 0 >= coalesce($3::bigint, -9223372036854775808)
  and d.slot + 0 <= coalesce($4::bigint, 9223372036854775807)
  and ($5::text is null or d.duty_type = $5::text)
  and ($7::text is null or d.node_id collate "C" = $7::text collate "C")
{newest_first}
