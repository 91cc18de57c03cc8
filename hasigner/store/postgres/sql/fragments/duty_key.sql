-- The first columns of every batch: the key of a duty.
$1::text rollup, $2::text validator, $3::bigint slot, $4::text duty_type, $5::int block_index
