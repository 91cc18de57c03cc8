-- Adds an entry to a journal, or what an entry with the same message does not have yet. Changes nothing where the duty
-- has an entry with another message.
--
-- ?1 rollup, ?2 slot, ?3 validator, ?4 duty type, ?5 block index, ?6 message hash, ?7 signature or null,
-- ?8 lock token of a caller or null, ?9 seconds since 1970
insert into journal_entries (rollup_address, slot, validator_address, duty_type, block_index_within_checkpoint,
                             message_hash, signature, handed_out_token, written_at)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
on conflict (rollup_address, slot, validator_address, duty_type, block_index_within_checkpoint) do update
set signature = coalesce(excluded.signature, signature),
    handed_out_token = coalesce(excluded.handed_out_token, handed_out_token),
    written_at = excluded.written_at
where message_hash = excluded.message_hash
