// HAKeyStore of @aztec/validator-client 4.1.2 over this package by an npm override: real keys, every duty type, refusals.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { DutyAlreadySignedError, SlashingProtectionError } from '@aztec/validator-ha-signer/errors';
import { createHASigner } from '@aztec/validator-ha-signer/factory';
import { runMigrations } from '@aztec/validator-ha-signer/migrations';

import { PostgresServer, kRollup } from './support.mjs';

const dest = new URL('node_modules/@aztec/validator-client/dest/', import.meta.url);
const { HAKeyStore, LocalKeyStore } = await import(new URL('key_store/index.js', dest));

const kTypes = ['CHECKPOINT_PROPOSAL', 'ATTESTATION', 'ATTESTATIONS_AND_SIGNERS', 'GOVERNANCE_VOTE', 'SLASHING_VOTE'];
const keys = [1, 2, 3].map(n => Buffer32.fromString(`0x${n.toString(16).padStart(64, '0')}`));

let server;
before(async () => {
  server = await PostgresServer.start();
  await runMigrations(server.url());
});
after(() => server.remove());

async function keyStore(nodeId) {
  const { signer } = await createHASigner({
    databaseUrl: server.url(),
    haSigningEnabled: true,
    nodeId,
    pollingIntervalMs: 50,
    signingTimeoutMs: 1000,
    l1Contracts: { rollupAddress: EthAddress.fromString(kRollup) },
  });
  const store = new HAKeyStore(new LocalKeyStore(keys), signer);
  await store.start();
  return store;
}

const typedData = payload => ({
  domain: { name: 'Aztec Rollup', version: '1', chainId: 1, verifyingContract: kRollup },
  primaryType: 'BlockProposal',
  types: { BlockProposal: [{ name: 'payloadHash', type: 'bytes32' }] },
  message: { payloadHash: payload },
});

test('the client uses this package', () => {
  assert.equal(
    JSON.parse(readFileSync('node_modules/@aztec/validator-ha-signer/package.json', 'utf8')).name,
    'ha-signer',
  );
});

test('every duty type is signed once by each key, by one node of two', async () => {
  const [a, b] = await Promise.all(['client-a', 'client-b'].map(keyStore));
  const contexts = kTypes.map((dutyType, i) => ({ dutyType, slot: 10 + i, blockNumber: 3 }));
  for (const blockIndexWithinCheckpoint of [0, 1])
    contexts.push({ dutyType: 'BLOCK_PROPOSAL', slot: 9, blockNumber: 3, blockIndexWithinCheckpoint });
  for (const context of contexts) {
    const message = Buffer32.random();
    const signed = (await Promise.all([a, b].map(store => store.signMessage(message, context)))).flat();
    assert.equal(signed.length, keys.length, context.dutyType);
    assert.deepEqual(new Set(signed.map(String)).size, keys.length);
  }
  assert.equal(
    server.sql(`select count(*), count(distinct node_id) > 0 from validator_duties where status = 'signed'`),
    `${contexts.length * keys.length}|t`,
  );
  await Promise.all([a.stop(), b.stop()]);
});

test('both refusals reach the client as its own classes; what needs no protection is signed directly', async () => {
  const store = await keyStore('client-c');
  const [address] = store.getAddresses();
  const context = { dutyType: 'ATTESTATION', slot: 100, blockNumber: 3 };
  const message = Buffer32.random();
  const signature = await store.signMessageWithAddress(address, message, context);
  assert.equal(server.sql('select signature from validator_duties where slot = 100'), signature.toString());
  await assert.rejects(store.signMessageWithAddress(address, message, context), DutyAlreadySignedError);
  await assert.rejects(store.signMessageWithAddress(address, Buffer32.random(), context), SlashingProtectionError);

  const proposal = { dutyType: 'BLOCK_PROPOSAL', slot: 100, blockNumber: 3, blockIndexWithinCheckpoint: 0 };
  await store.signTypedDataWithAddress(address, typedData(message.toString()), proposal);
  await assert.rejects(
    store.signTypedDataWithAddress(address, typedData(message.toString()), proposal),
    DutyAlreadySignedError,
  );
  await assert.rejects(
    store.signTypedDataWithAddress(address, typedData(Buffer32.random().toString()), proposal),
    SlashingProtectionError,
  );
  for (let i = 0; i < 2; ++i)
    assert.equal(
      (await store.signMessage(message, { dutyType: 'AUTH_REQUEST' })).length,
      keys.length,
      'needs no protection',
    );
  await store.stop();
});
