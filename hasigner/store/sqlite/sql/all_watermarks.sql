-- Reads all watermarks.
select rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at
from ha_signer_watermarks order by rollup_address, validator_address, duty_type
