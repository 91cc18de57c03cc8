// The published signer 4.1.2 with its keys behind `ha-signer serve`, by the right `claimed`: what is signed and what is
// refused, and that no fault of the published package brings out two signatures for one duty.
//
// node --test, with SERVE_URLS (with the token of a client; one or more services), DATABASE_URL and ADDRESS

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';

import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { Signature } from '@aztec/foundation/eth-signature';
import { createHASigner } from '@aztec/validator-ha-signer/factory';
import pg from 'pg';
import { hashTypedData, recoverMessageAddress, recoverTypedDataAddress } from 'viem';

import { kChainId, kRollup, Ledger, payload, Refused, RemoteKeyStore, signal, vote } from './remote_key_store.mjs';

const urls = process.env.SERVE_URLS.split(' ');
const address = process.env.ADDRESS.toLowerCase();
const databaseUrl = process.env.DATABASE_URL;
const kRounds = Number(process.env.ROUNDS ?? 40);

const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
const sql = async (...query) => (await pool.query(...query)).rows;
const random = () => Buffer32.fromBuffer(randomBytes(32));
let lastSlot = 1000;
const newSlot = () => ++lastSlot;

const node = (nodeId, more = {}) =>
  createHASigner({
    databaseUrl,
    haSigningEnabled: true,
    nodeId,
    pollingIntervalMs: 10,
    signingTimeoutMs: 500,
    maxStuckDutiesAgeMs: 3_600_000,
    l1Contracts: { rollupAddress: EthAddress.fromString(kRollup) },
    ...more,
  });

const nameOf = ({ slot, dutyType, blockIndexWithinCheckpoint = -1 }) =>
  `${slot} ${dutyType} ${blockIndexWithinCheckpoint}`;

/** Signs as the node's HA key store does: hash, claim, remote call, update. */
function signMessage(signer, keys, hash, context, before = async () => {}) {
  return signer.signWithProtection(EthAddress.fromString(address), hash, context, async () => {
    await before();
    return Signature.fromString(await keys.signMessage(hash, nameOf(context)));
  });
}
function signTypedData(signer, keys, typedData, context) {
  const hash = Buffer32.fromString(hashTypedData(typedData));
  return signer.signWithProtection(EthAddress.fromString(address), hash, context, async () =>
    Signature.fromString(await keys.signTypedData(typedData, nameOf(context))),
  );
}

const refusedAs = kind => error => error instanceof Refused && error.kind === kind;
// The database refuses the node's claim before the service is asked.
const refusedByDatabase = error => /a signature of another message has been released/.test(error?.message);
const attestation = (slot = newSlot()) => ({ dutyType: 'ATTESTATION', slot, blockNumber: 1 });

test('each duty type is signed, as a message and as typed data, and stands in both tables', async () => {
  const { signer } = await node('published-all');
  const keys = new RemoteKeyStore(urls[0], address);
  const types = {
    BLOCK_PROPOSAL: 'BlockProposal',
    CHECKPOINT_PROPOSAL: 'CheckpointProposal',
    ATTESTATION: 'CheckpointAttestation',
    ATTESTATIONS_AND_SIGNERS: 'AttestationsAndSigners',
  };
  for (const [dutyType, primaryType] of Object.entries(types)) {
    for (const index of dutyType === 'BLOCK_PROPOSAL' ? [0, 1] : [undefined]) {
      const context = () => ({ dutyType, slot: newSlot(), blockNumber: 1, blockIndexWithinCheckpoint: index });
      const hash = random();
      const signature = await signMessage(signer, keys, hash, context());
      assert.equal(
        (await recoverMessageAddress({ message: { raw: `${hash}` }, signature: `${signature}` })).toLowerCase(),
        address,
      );
      const typed = payload(primaryType, `${random()}`);
      const other = await signTypedData(signer, keys, typed, context());
      assert.equal((await recoverTypedDataAddress({ ...typed, signature: `${other}` })).toLowerCase(), address);
    }
  }
  for (const name of ['TallySlashingProposer', 'SlashingProposer']) {
    const slot = newSlot();
    await signTypedData(signer, keys, vote(slot, { name }), { dutyType: 'SLASHING_VOTE', slot });
  }
  const slot = newSlot();
  await signTypedData(signer, keys, signal(slot), { dutyType: 'GOVERNANCE_VOTE', slot });
  const rows = await sql(
    `select d.slot from validator_duties d join ha_signer_released r
       on r.rollup_address = d.rollup_address and r.validator_address = d.validator_address and r.slot = d.slot
       and r.duty_type = d.duty_type and r.block_index = d.block_index_within_checkpoint
       and r.message_hash = d.message_hash and r.signature = d.signature
     where d.status = 'signed' and d.node_id = 'published-all'`,
  );
  assert.equal(rows.length, 13);
  await signer.stop();
});

test('without a row, or with one that does not fit, nothing is signed', async () => {
  const keys = new RemoteKeyStore(urls[0], address);
  await assert.rejects(keys.signMessage(random()), refusedAs('duty_not_claimed'));
  await assert.rejects(keys.signTypedData(payload('BlockProposal', `${random()}`)), refusedAs('duty_not_claimed'));
  await assert.rejects(keys.signTypedData(signal(newSlot())), refusedAs('duty_not_claimed'));
  const { signer } = await node('published-wrong');
  const hash = random();
  const claims = (context, typed) =>
    signer.signWithProtection(
      EthAddress.fromString(address),
      typed ? Buffer32.fromString(hashTypedData(typed)) : hash,
      context,
      async () => Signature.fromString(await (typed ? keys.signTypedData(typed) : keys.signMessage(hash))),
    );
  // The payload is of another duty type than the row, or of another slot, chain or rollup.
  const typed = payload('BlockProposal', `${random()}`);
  await assert.rejects(claims(attestation(), typed), refusedAs('duty_not_claimed'));
  const slot = newSlot();
  await assert.rejects(claims({ dutyType: 'SLASHING_VOTE', slot }, vote(slot + 1)), refusedAs('duty_not_claimed'));
  await assert.rejects(claims({ dutyType: 'GOVERNANCE_VOTE', slot }, vote(slot)), refusedAs('duty_not_claimed'));
  await assert.rejects(
    claims({ dutyType: 'GOVERNANCE_VOTE', slot }, signal(slot, { instance: `0x${'33'.repeat(20)}` })),
    refusedAs('invalid_input'),
  );
  const foreign = { name: 'Aztec Rollup', version: '1', chainId: kChainId, verifyingContract: `0x${'33'.repeat(20)}` };
  await assert.rejects(
    claims(attestation(), payload('CheckpointAttestation', `${random()}`, foreign)),
    refusedAs('invalid_input'),
  );
  // A message is never a vote.
  await assert.rejects(claims({ dutyType: 'GOVERNANCE_VOTE', slot: newSlot() }), refusedAs('duty_not_claimed'));
  await signer.stop();
});

test('transactions are recognised and signed; a message that no row has is not, unless the client may', async () => {
  const keys = new RemoteKeyStore(urls[0], address);
  await keys.signTypedData(payload('SignedTxs', `${random()}`));
  await assert.rejects(keys.signMessage(random()), refusedAs('duty_not_claimed'));
  if (process.env.AUTH_URL) {
    const newer = new RemoteKeyStore(process.env.AUTH_URL, address);
    await newer.signMessage(random());
    // A message that a row has is that of a node up to 4.x, which must not have this right.
    const { signer } = await node('published-auth');
    for (const before of [async () => {}, () => sql(`update validator_duties set status = 'signed', signature = '0x' where node_id = 'published-auth'`)]) {
      await assert.rejects(signMessage(signer, newer, random(), attestation(), before), refusedAs('forbidden'));
    }
    await signer.stop();
  }
});

test('a request that outlives its row gets nothing, and another message of the duty neither', async () => {
  const { signer, db } = await node('published-late');
  const keys = new RemoteKeyStore(urls[0], address, new Ledger());
  const context = attestation();
  const hash = random();
  // The row is gone when the request arrives.
  await assert.rejects(
    signMessage(signer, keys, hash, context, () => sql('delete from validator_duties where slot = $1', [context.slot])),
    refusedAs('duty_not_claimed'),
  );
  const other = random();
  await signMessage(signer, keys, other, context);
  // Its answer is late: the node has given up and claims again, with other data.
  await sql('delete from validator_duties where slot = $1', [context.slot]);
  await assert.rejects(signMessage(signer, keys, random(), context), refusedByDatabase);
  await db.close().catch(() => {});
});

test('the same request again, from another node and by another service, gets the same signature', async () => {
  const { signer } = await node('published-same');
  const context = attestation();
  const hash = random();
  const answers = [];
  await signer.signWithProtection(EthAddress.fromString(address), hash, context, async () => {
    for (const url of [...urls, ...urls]) answers.push(await new RemoteKeyStore(url, address).signMessage(hash));
    return Signature.fromString(answers[0]);
  });
  assert.equal(new Set(answers).size, 1);
  await signer.stop();
});

// ---- The faults of the published package (docs/migrating.md), each with two nodes that want other data.

const fault = (name, run) =>
  test(`no second signature: ${name}`, async () => {
    const ledger = new Ledger();
    const keys = urls.map(url => new RemoteKeyStore(url, address, ledger));
    await run({ first: keys[0], second: keys.at(-1), context: attestation() });
    assert.deepEqual(ledger.doubles, []);
    assert.ok(ledger.released.size > 0, 'one is signed');
  });
const tries = work => work.catch(() => {});

fault('the sign function outlives the stuck-duty age', async ({ first, second, context }) => {
  const slow = await node('fault-1-slow');
  const next = await node('fault-1-next');
  const signing = signMessage(slow.signer, first, random(), context, async () => {
    await slow.db.cleanupOwnStuckDuties('fault-1-slow', 0);
    await tries(signMessage(next.signer, second, random(), context));
  });
  await tries(signing);
  await Promise.all([slow.signer.stop(), next.signer.stop()]);
});

fault('retention has deleted the row', async ({ first, second, context }) => {
  const { signer, db } = await node('fault-2');
  await signMessage(signer, first, random(), context);
  assert.ok((await db.cleanupOldDuties(0)) > 0);
  await assert.rejects(signMessage(signer, second, random(), context), refusedByDatabase);
  await signer.stop();
});

fault('two nodes have one node id', async ({ first, second, context }) => {
  const [a, b] = [await node('fault-3'), await node('fault-3')];
  const signing = signMessage(a.signer, first, random(), context, async () => {
    await b.db.cleanupOwnStuckDuties('fault-3', 0);
    await tries(signMessage(b.signer, second, random(), context));
  });
  await tries(signing);
  await tries(signMessage(b.signer, second, random(), context));
  await Promise.all([a.signer.stop(), b.signer.stop()]);
});

fault('a start for another rollup deletes the rows of this one', async ({ first, second, context }) => {
  const { signer, db } = await node('fault-4');
  await signMessage(signer, first, random(), context);
  await db.cleanupOutdatedRollupDuties(EthAddress.fromString(`0x${'44'.repeat(20)}`));
  assert.deepEqual(await sql('select from validator_duties where slot = $1', [context.slot]), []);
  await assert.rejects(signMessage(signer, second, random(), context), refusedByDatabase);
  await signer.stop();
});

fault('a row with an address in mixed letter case is not matched', async ({ first, second, context }) => {
  const { signer } = await node('fault-9');
  await signMessage(signer, first, random(), context);
  await sql(
    `update validator_duties set validator_address = '0x' || upper(substr(validator_address, 3)) where slot = $1`,
    [context.slot],
  );
  await assert.rejects(signMessage(signer, second, random(), context), refusedByDatabase);
  await signer.stop();
});

fault('time zones differ, so a live lock is deleted', async ({ first, second, context }) => {
  const behind = await node('fault-10', { maxStuckDutiesAgeMs: 60_000 });
  const signing = signMessage(behind.signer, first, random(), context, async () => {
    await sql(`update validator_duties set started_at = started_at - interval '9 hours' where slot = $1`, [context.slot]);
    await behind.db.cleanupOwnStuckDuties('fault-10', 60_000);
    await tries(signMessage(behind.signer, second, random(), context));
  });
  await tries(signing);
  await behind.signer.stop();
});

test('HA signing is off on one node: it gets no signature', async () => {
  const keys = new RemoteKeyStore(urls[0], address);
  await assert.rejects(keys.signMessage(random()), refusedAs('duty_not_claimed'));
});

test('a slot at or below the low watermark is not signed', async () => {
  const { signer } = await node('published-low');
  const keys = new RemoteKeyStore(urls[0], address);
  const slot = newSlot();
  await sql('select ha_signer_set_watermark($1, $2, $3, $4, null)', [kRollup, address, 'SLASHING_VOTE', slot]);
  await assert.rejects(
    signTypedData(signer, keys, vote(slot), { dutyType: 'SLASHING_VOTE', slot }),
    refusedAs('outside_watermark'),
  );
  const next = newSlot();
  await signTypedData(signer, keys, vote(next), { dutyType: 'SLASHING_VOTE', slot: next });
  await signer.stop();
});

test('three nodes race for the same duties with other data each, while rows are deleted', async () => {
  const ledger = new Ledger();
  const nodes = await Promise.all(['race-a', 'race-b', 'race-c'].map(name => node(name, { poolMaxCount: 4 })));
  const slots = Array.from({ length: kRounds }, newSlot);
  let racing = true;
  const deleting = (async () => {
    while (racing) {
      for (const { db } of nodes) await db.cleanupOwnStuckDuties('race-a', 0);
      // Of rows that are signed a deletion would raise the watermark.
      await sql(`delete from validator_duties where slot = any ($1) and status = 'signing' and random() < 0.5`, [slots]);
    }
  })();
  const refusals = new Map();
  await Promise.all(
    nodes.flatMap(({ signer }, i) =>
      slots.map(async slot => {
        const keys = new RemoteKeyStore(urls[i % urls.length], address, ledger);
        for (let round = 0; round < 2; ++round) {
          await signMessage(signer, keys, random(), attestation(slot)).catch(error => {
            const kind = refusedByDatabase(error) ? 'slashing_protection' : (error.kind ?? error.name);
            refusals.set(kind, (refusals.get(kind) ?? 0) + 1);
          });
        }
      }),
    ),
  );
  racing = false;
  await deleting;
  assert.deepEqual(ledger.doubles, []);
  assert.ok(ledger.released.size > kRounds / 2, `${ledger.released.size} of ${kRounds}; ${[...refusals]}`);
  // Who refuses, the node or the database, depends on whether a deletion came between; the tests above show the database alone.
  assert.ok(refusals.size > 0, 'no request met another one');
  await Promise.all(nodes.map(({ signer }) => signer.stop()));
});

after(() => pool.end());
