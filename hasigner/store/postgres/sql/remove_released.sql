-- Forgets what was released longer ago than an age: the oldest that no other transaction has locked. A trigger raises the
-- low watermarks to their slots.
--
-- $1 limit, $2 age in ms
delete from ha_signer_released v
where v.ctid = any (array (
  select r.ctid from ha_signer_released r
  where r.released_at <= statement_timestamp() - $2::bigint * interval '1 millisecond'
  order by r.released_at limit $1::bigint
  for update skip locked))
