// One unchanged node: the validator client's key store, the published signer, and its remote signer, which is the service.
// It signs slot after slot, each duty with data that no other node has. It writes down what it is going to ask for before
// it asks: node.mjs NODE_ID SERVICE_URL DATABASE_URL ADDRESSES FIRST_SLOT SLOTS JOURNAL

import { randomBytes } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';

import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { KeystoreManager } from '@aztec/node-keystore';
import { createHASigner } from '@aztec/validator-ha-signer/factory';
import { hashTypedData } from 'viem';

import { kRollup, payload, signal, vote } from './remote_key_store.mjs';

const [nodeId, url, databaseUrl, addresses, firstSlot, slots, journalFile] = process.argv.slice(2);
const dest = new URL('node_modules/@aztec/validator-client/dest/key_store/', import.meta.url);
const { HAKeyStore, NodeKeystoreAdapter } = await import(new URL('index.js', dest));

const journal = openSync(journalFile, 'a');
const keystore = {
  schemaVersion: 1,
  remoteSigner: url,
  validators: [
    { attester: addresses.split(',').map(a => EthAddress.fromString(a)), feeRecipient: `0x${'11'.repeat(32)}` },
  ],
};
await new KeystoreManager(keystore).validateSigners();
const { signer } = await createHASigner({
  databaseUrl,
  haSigningEnabled: true,
  nodeId,
  pollingIntervalMs: 20,
  signingTimeoutMs: 300,
  maxStuckDutiesAgeMs: 1_000,
  cleanupOldDutiesAfterHours: 1,
  poolMaxCount: 8,
  l1Contracts: { rollupAddress: EthAddress.fromString(kRollup) },
});
const store = new HAKeyStore(NodeKeystoreAdapter.fromKeystoreConfig(keystore), signer);
await store.start();

const hash = () => Buffer32.fromBuffer(randomBytes(32));
const kPrimaryTypes = {
  CHECKPOINT_PROPOSAL: 'CheckpointProposal',
  ATTESTATION: 'CheckpointAttestation',
  ATTESTATIONS_AND_SIGNERS: 'AttestationsAndSigners',
};
/** The duties of a slot, half of them as 4.1.2 signs them and half as 5.x does. */
function duties(slot) {
  const all = [
    [{ dutyType: 'GOVERNANCE_VOTE', slot }, signal(slot, { to: `0x${randomBytes(20).toString('hex')}` })],
    [{ dutyType: 'SLASHING_VOTE', slot }, vote(slot, { votes: `0x${randomBytes(8).toString('hex')}` })],
  ];
  for (const [dutyType, primaryType] of Object.entries(kPrimaryTypes)) {
    all.push([{ dutyType, slot, blockNumber: 1 }, slot % 2 ? payload(primaryType, `${hash()}`) : hash()]);
  }
  for (const blockIndexWithinCheckpoint of [0, 1]) {
    const context = { dutyType: 'BLOCK_PROPOSAL', slot, blockNumber: 1, blockIndexWithinCheckpoint };
    all.push([context, slot % 2 ? payload('BlockProposal', `${hash()}`) : hash()]);
  }
  return all;
}

async function sign(address, context, what) {
  const isMessage = what instanceof Buffer32;
  const message = isMessage ? `${what}` : hashTypedData(what);
  const index = context.blockIndexWithinCheckpoint ?? -1;
  writeSync(journal, `${address} ${context.slot} ${context.dutyType} ${index} ${message}\n`);
  const owner = EthAddress.fromString(address);
  await (isMessage
    ? store.signMessageWithAddress(owner, what, context)
    : store.signTypedDataWithAddress(owner, what, context));
}

const outcomes = {};
for (let slot = Number(firstSlot); slot < Number(firstSlot) + Number(slots); ++slot) {
  const results = await Promise.allSettled(
    addresses.split(',').flatMap(address => duties(slot).map(([context, what]) => sign(address, context, what))),
  );
  for (const { status, reason } of results) {
    const outcome = status === 'fulfilled' ? 'signed' : (reason.message.match(/JSON-RPC error[^-]*(-\d+)/)?.[1] ?? reason.name);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  console.log(JSON.stringify({ slot, outcomes }));
}
await store.stop();
process.exit(0);
