-- Inserts rows `signing` for the duties of a batch that have no row yet.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 block number, $7 checkpoint number,
-- $8 message hash, $9 lock token of the claim (arrays, in the form for many)
-- $10 node id, $11 hours to keep the row (null: without limit), $12 lock time-out in ms,
-- $13 synchronous_commit (null: as the session has it)
--
-- ON CONFLICT waits for a transaction that inserts, changes or deletes the same duty just now, at most for the lock
-- time-out, which is set before the first row comes.
--
-- A claim that the fence guards need not outlive a crash of the server, so its commit waits for no disk and no standby
-- ($13 is `off`): the record waits for the log up to its own commit, and so for the claim's, which stands before it. A
-- claim that a crash takes back is a row that was deleted, which the record then does not match. A batch with a claim that
-- must outlive a crash is followed by take_over.sql with its own tokens, which is as durable as a record.
with lock_timeout as materialized (
  select set_config('lock_timeout', $12::text, true),
         set_config('synchronous_commit', coalesce($13::text, current_setting('synchronous_commit')), true),
         {asks_released})
insert into validator_duties (
  rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint, block_number, message_hash,
  lock_token, node_id, status, started_at{from v2: , checkpoint_number}{from v3: , expires_at})
select k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.block_number, k.message_hash, k.lock_token,
       $10::text, 'signing', {now_utc}{from v2: , k.checkpoint_number}
       {from v3: , {now_utc} + make_interval(hours => $11::int)}
from lock_timeout
cross join {batch: {duty_key}, $6::bigint block_number, $7::bigint checkpoint_number, $8::text message_hash,
                   $9::text lock_token}
-- Always true: gives $11 a type where the tables have no column for it.
where $11::int is not distinct from $11::int
order by k.ord
on conflict do nothing
