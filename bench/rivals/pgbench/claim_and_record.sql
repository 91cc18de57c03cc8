-- One duty as the published package puts it to PostgreSQL: claim it or read who holds it, then turn it signed.
-- Two statements, each a transaction of its own; pgbench runs them prepared, so only the server and one round trip
-- for each count. Every client has slots of its own, hence no duty is ever claimed twice.
\set duty :duty + 1
\set validator 1000000000 + :duty % 1000
\set slot :first_slot + :client_id * 1000000 + :duty / 1000
WITH claimed AS (
    INSERT INTO validator_duties
        (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type,
         status, message_hash, node_id, lock_token, started_at)
    VALUES
        (:rollup_address, :address_prefix::text || :validator::text, :slot, 1, -1, 'ATTESTATION',
         'signing', :message_hash, 'pgbench', :lock_token, current_timestamp)
    ON CONFLICT (rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint) DO NOTHING
    RETURNING true AS won, validator_duties.*
)
SELECT won, rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type,
       status, message_hash, signature, node_id, lock_token, started_at, completed_at, error_message
FROM claimed
UNION ALL
SELECT false, rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type,
       status, message_hash, signature, node_id, '', started_at, completed_at, error_message
FROM validator_duties
WHERE rollup_address = :rollup_address
  AND validator_address = :address_prefix::text || :validator::text
  AND slot = :slot
  AND duty_type = 'ATTESTATION'
  AND block_index_within_checkpoint = -1
  AND NOT EXISTS (SELECT FROM claimed);
UPDATE validator_duties
SET status = 'signed', signature = :signature, completed_at = current_timestamp
WHERE rollup_address = :rollup_address
  AND validator_address = :address_prefix::text || :validator::text
  AND slot = :slot
  AND duty_type = 'ATTESTATION'
  AND block_index_within_checkpoint = -1
  AND status = 'signing'
  AND lock_token = :lock_token;
