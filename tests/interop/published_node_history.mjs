// Writes duties as the published signer does it: published_node_history.mjs DATA_DIRECTORY write N | hold | rewrite N

import { EthAddress } from '@aztec/foundation/eth-address';
import { createStore } from '@aztec/kv-store/lmdb-v2';

const [directory, what, count] = process.argv.slice(2);
const rollupAddress = `0x${'11'.repeat(20)}`;
const validatorAddress = `0x${'22'.repeat(20)}`;

function duty(slot, dutyType, blockIndexWithinCheckpoint, isSigned) {
  return {
    rollupAddress,
    validatorAddress,
    slot: String(slot),
    blockNumber: '0',
    checkpointNumber: '3',
    blockIndexWithinCheckpoint,
    dutyType,
    status: isSigned ? 'signed' : 'signing',
    messageHash: `0x${'ab'.repeat(32)}`,
    ...(isSigned ? { signature: `0x${'cd'.repeat(64)}1b` } : {}),
    nodeId: 'local',
    lockToken: '00112233445566778899aabbccddeeff',
    startedAtMs: Date.now(),
    ...(isSigned ? { completedAtMs: Date.now() } : {}),
  };
}

const keyOf = one =>
  [one.rollupAddress, one.validatorAddress, one.slot, one.dutyType, one.blockIndexWithinCheckpoint].join(':');

const store = await createStore('signing-protection', 2, {
  dataDirectory: directory,
  dataStoreMapSizeKb: 1024 * 1024,
  l1Contracts: { rollupAddress: EthAddress.fromString(rollupAddress) },
});
const duties = store.openMap('signing-protection-duties');
const write = one => store.transactionAsync(() => duties.set(keyOf(one), one));

if (what === 'write') {
  for (let slot = 1; slot <= Number(count); ++slot) {
    await write(duty(slot, slot % 3 === 0 ? 'BLOCK_PROPOSAL' : 'ATTESTATION', slot % 3 === 0 ? 1 : -1, true));
  }
  await write(duty(1000, 'ATTESTATION', -1, false));
} else if (what === 'hold') {
  console.log('open');
  await new Promise(resolve => process.stdin.once('data', resolve));
} else {
  for (let slot = 1; slot <= Number(count); ++slot) {
    const one = duty(slot, slot % 3 === 0 ? 'BLOCK_PROPOSAL' : 'ATTESTATION', slot % 3 === 0 ? 1 : -1, true);
    if (slot % 2 === 0) await store.transactionAsync(() => duties.delete(keyOf(one)));
    else await write({ ...one, signature: `0x${'ef'.repeat(64)}1c` });
  }
}
await store.close();
process.exit(0);
