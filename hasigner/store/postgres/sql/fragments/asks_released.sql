-- Keeps the trigger ha_signer_keep_to_released out of this transaction: it makes every writer fail that would give a duty
-- another message than the released one. This program asks for that by itself, for each duty of a batch, and one that is
-- refused must not fail the others.
set_config('ha_signer.asks_released', 'true', true)
