// One node of a cluster, told on standard input what to sign: cluster_node.mjs KIND URL NODE-ID.
//
// A line is {from, count}: the attestations of that many slots. Even slots are signed with the same data by
// every node, odd ones with data of the node's own. Each release and refusal is printed as one line, and then "round".

import { createInterface } from 'node:readline';
import { writeSync } from 'node:fs';

import { EthAddress } from '@aztec/foundation/eth-address';
import { Buffer32 } from '@aztec/foundation/buffer';
import { Signature } from '@aztec/foundation/eth-signature';
import pg from 'pg';

import { NewerSigner } from './newer_node.mjs';
import { kRollup, kValidator, sleep } from './support.mjs';

const [kind, url, nodeId] = process.argv.slice(2);

const say = line => writeSync(1, `${JSON.stringify(line)}\n`);
const shared = { nodeId, pollingIntervalMs: 20 };
const rollupAddress = EthAddress.fromString(kRollup);
const olderConfig = {
  ...shared,
  databaseUrl: url,
  haSigningEnabled: true,
  signingTimeoutMs: 2000,
  l1Contracts: { rollupAddress },
};
const newerConfig = { ...shared, databaseUrl: { getValue: () => url }, peerSigningTimeoutMs: 2000, rollupAddress };

async function makeSigner() {
  if (kind.startsWith('newer')) {
    const config = { ...shared, rollup: kRollup, peerSigningTimeoutMs: 2000 };
    return new NewerSigner(url, Number(kind.slice('newer'.length)), config);
  }
  const { createHASigner } = await import(
    kind === 'published' ? '@aztec/validator-ha-signer/factory' : 'ha-signer/factory'
  );
  const deps = kind === 'pool' ? { pool: new pg.Pool({ connectionString: url }) } : undefined;
  // Both shapes of our configs.
  return (await createHASigner(kind === 'pool' ? newerConfig : olderConfig, deps)).signer;
}

const signer = await makeSigner();
await signer.start();
const validator = EthAddress.fromString(kValidator);

const ownNumber = [...nodeId].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 65_536;

function hashOf(slot) {
  const own = slot % 2 === 0 ? 0 : ownNumber;
  return Buffer32.fromString(`0x${slot.toString(16).padStart(32, '0')}${own.toString(16).padStart(32, '0')}`);
}

async function sign(slot) {
  const hash = hashOf(slot);
  // Half of the duties all at once, the others in an order of their own, so that slower kinds sign, too.
  if (slot % 4 < 2) await sleep((ownNumber * 7 + slot * 13) % 40);
  try {
    await signer.signWithProtection(validator, hash, { dutyType: 'ATTESTATION', slot, blockNumber: 1 }, async () => {
      await sleep(slot % 7);
      return new Signature(hash, hash, 27);
    });
    say({ slot, released: hash.toString() });
  } catch (error) {
    say({ slot, refused: error.name, by: error.signedByNode, message: error.signedByNode ? undefined : error.message });
  }
}

say({ ready: nodeId });
for await (const line of createInterface({ input: process.stdin })) {
  const { from, count } = JSON.parse(line);
  await Promise.all(Array.from({ length: count }, (_, i) => sign(from + i)));
  say({ round: from });
}
await signer.stop();
process.exit(0);
