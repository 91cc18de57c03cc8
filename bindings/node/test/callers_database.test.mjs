// A caller's own database object: the protocol calls its methods.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EthAddress } from '@aztec/foundation/eth-address';
import { DutyAlreadySignedError, SigningLockLostError, SlashingProtectionError } from 'ha-signer/errors';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';
import { createSharedSlashingProtectionDb, createSignerFromSharedDb } from 'ha-signer/factory';
import { ValidatorHASigner } from 'ha-signer/validator-ha-signer';

import { attestation, kHash, kOtherHash, kRollup, kSignature, kValidator, sleep } from './support.mjs';

/** Keeps duties in a map, and remembers what it was asked. */
class MapDatabase {
  rows = new Map();
  calls = [];
  #tokens = 0;

  static #key(rollup, validator, slot, type, index) {
    return [rollup, validator, slot, type, index].join(' ');
  }

  async tryInsertOrGetExisting(params) {
    this.calls.push(['tryInsertOrGetExisting', params]);
    const key = MapDatabase.#key(
      params.rollupAddress,
      params.validatorAddress,
      params.slot,
      params.dutyType,
      params.blockIndexWithinCheckpoint ?? -1,
    );
    const existing = this.rows.get(key);
    if (existing) return { isNew: false, record: { ...existing, lockToken: '' } };
    const record = {
      ...params,
      blockIndexWithinCheckpoint: params.blockIndexWithinCheckpoint ?? -1,
      status: 'signing',
      lockToken: `token-${++this.#tokens}`,
      startedAt: new Date(),
    };
    this.rows.set(key, record);
    return { isNew: true, record: { ...record } };
  }

  async updateDutySigned(rollup, validator, slot, type, signature, token, index) {
    this.calls.push(['updateDutySigned', signature, token]);
    const row = this.rows.get(MapDatabase.#key(rollup, validator, slot, type, index));
    if (row?.status !== 'signing' || row.lockToken !== token) return false;
    Object.assign(row, { status: 'signed', signature, completedAt: new Date() });
    return true;
  }

  async deleteDuty(rollup, validator, slot, type, token, index) {
    this.calls.push(['deleteDuty', token]);
    const key = MapDatabase.#key(rollup, validator, slot, type, index);
    const row = this.rows.get(key);
    if (row?.status !== 'signing' || row.lockToken !== token) return false;
    return this.rows.delete(key);
  }

  async cleanupOwnStuckDuties(...args) {
    this.calls.push(['cleanupOwnStuckDuties', ...args]);
    return 0;
  }
  async cleanupOutdatedRollupDuties() {
    this.calls.push(['cleanupOutdatedRollupDuties']);
    return 0;
  }
  async cleanupOldDuties(...args) {
    this.calls.push(['cleanupOldDuties', ...args]);
    return 0;
  }
  async close() {
    this.calls.push(['close']);
  }

  asked(method) {
    return this.calls.filter(([name]) => name === method);
  }
}

const config = {
  haSigningEnabled: true,
  nodeId: 'node-1',
  pollingIntervalMs: 20,
  signingTimeoutMs: 300,
  rollupAddress: EthAddress.fromString(kRollup),
};
const signature = { toString: () => kSignature };
const sign = async () => signature;
const params = (slot, more = {}) => ({
  rollupAddress: EthAddress.fromString(kRollup),
  validatorAddress: EthAddress.fromString(kValidator),
  slot,
  dutyType: 'ATTESTATION',
  blockNumber: 7,
  messageHash: kHash,
  nodeId: 'node-1',
  ...more,
});

test('signs by its methods, with the arguments that the published package gives', async () => {
  const db = new MapDatabase();
  const signer = new ValidatorHASigner(db, config);
  await signer.start();
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(5n), sign), signature);
  const [, asked] = db.asked('tryInsertOrGetExisting')[0];
  assert.ok(asked.validatorAddress instanceof EthAddress);
  assert.deepEqual(
    { ...asked, rollupAddress: 0, validatorAddress: 0 },
    {
      rollupAddress: 0,
      validatorAddress: 0,
      slot: 5,
      dutyType: 'ATTESTATION',
      blockNumber: 7,
      checkpointNumber: 0,
      messageHash: kHash,
      nodeId: 'node-1',
    },
  );
  assert.deepEqual(db.asked('updateDutySigned'), [['updateDutySigned', kSignature, 'token-1']]);
  await assert.rejects(signer.signWithProtection(kValidator, kHash, attestation(5), sign), DutyAlreadySignedError);
  await assert.rejects(
    signer.signWithProtection(kValidator, kOtherHash, attestation(5), sign),
    SlashingProtectionError,
  );
  await signer.stop();
  assert.equal(db.asked('close').length, 1);
  assert.equal(db.asked('cleanupOutdatedRollupDuties').length, 0, 'rows of other rollups stay');
});

test('a failed signing gives the duty back; a lost one gives no signature', async () => {
  const db = new MapDatabase();
  const signer = new ValidatorHASigner(db, config);
  await assert.rejects(
    signer.signWithProtection(kValidator, kHash, attestation(1), async () => Promise.reject(new Error('no'))),
    /^Error: no$/,
  );
  assert.equal(db.rows.size, 0);
  await assert.rejects(
    signer.signWithProtection(kValidator, kHash, attestation(2), async () => (db.rows.clear(), signature)),
    error => error instanceof SigningLockLostError && error.nodeId === 'node-1' && error.slot === 2,
  );
  await signer.stop();
});

/** Until an attempt that waits has looked at its row twice more. */
async function hasLookedAgain(db) {
  const looks = () => db.asked('tryInsertOrGetExisting').length;
  const before = looks();
  while (looks() < before + 2) await sleep(1);
}

test('waits for another holder until he has signed, has given up, or the time is over', async () => {
  const db = new MapDatabase();
  const signer = new ValidatorHASigner(db, config);
  const other = await db.tryInsertOrGetExisting(params(1, { nodeId: 'other' }));
  const waiting = signer.signWithProtection(kValidator, kHash, attestation(1), sign).catch(error => error);
  await hasLookedAgain(db);
  const { rollupAddress, validatorAddress } = params(1);
  await db.updateDutySigned(rollupAddress, validatorAddress, 1, 'ATTESTATION', '0xtheirs', other.record.lockToken, -1);
  const refused = await waiting;
  assert.deepEqual([refused.name, refused.signedByNode], ['DutyAlreadySignedError', 'other']);

  const released = await db.tryInsertOrGetExisting(params(2, { nodeId: 'other' }));
  const next = signer.signWithProtection(kValidator, kHash, attestation(2), sign);
  await hasLookedAgain(db);
  await db.deleteDuty(rollupAddress, validatorAddress, 2, 'ATTESTATION', released.record.lockToken, -1);
  assert.equal(await next, signature);

  await db.tryInsertOrGetExisting(params(3, { nodeId: 'other' }));
  const timedOut = await signer.signWithProtection(kValidator, kHash, attestation(3), sign).catch(error => error);
  assert.deepEqual([timedOut.name, timedOut.signedByNode], ['DutyAlreadySignedError', 'unknown (timeout)']);
  await signer.stop();
});

test('an error of the database reaches the caller as it is, at once', async () => {
  for (const method of ['tryInsertOrGetExisting', 'updateDutySigned']) {
    const db = new MapDatabase();
    const failure = new Error('the database is on holiday');
    db[method] = async () => Promise.reject(failure);
    const signer = new ValidatorHASigner(db, config);
    const startedAt = Date.now();
    await assert.rejects(
      signer.signWithProtection(kValidator, kHash, attestation(1), sign),
      error => error === failure,
      method,
    );
    assert.ok(Date.now() - startedAt < 2000, method);
    await signer.stop();
  }
});

test('a hundred at once for one duty: one signs', async () => {
  const db = new MapDatabase();
  const signers = Array.from(
    { length: 100 },
    (_, i) => new ValidatorHASigner(db, { ...config, nodeId: `node-${i}`, signingTimeoutMs: 5000 }),
  );
  let calls = 0;
  const results = await Promise.allSettled(
    signers.map(signer =>
      signer.signWithProtection(kValidator, kHash, attestation(1), async () => (calls++, signature)),
    ),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(calls, 1);
  assert.ok(results.every(({ status, reason }) => status === 'fulfilled' || reason instanceof DutyAlreadySignedError));
  await Promise.all(signers.map(signer => signer.stop()));
});

test('the service claims, records and deletes by the same rules, for whichever node it is asked', async () => {
  const db = new MapDatabase();
  const service = new SlashingProtectionService(db, config);
  assert.equal(service.nodeId, 'node-1');
  const token = await service.checkAndRecord(params(1, { nodeId: 'node-7' }));
  assert.equal(db.asked('tryInsertOrGetExisting')[0][1].nodeId, 'node-7');
  assert.equal(
    await service.recordSuccess({ ...params(1), signature: { toString: () => '0xsignature' }, lockToken: 'wrong' }),
    false,
  );
  assert.equal(
    await service.recordSuccess({ ...params(1), signature: { toString: () => '0xsignature' }, lockToken: token }),
    true,
  );
  assert.equal([...db.rows.values()][0].signature, '0xsignature');
  await assert.rejects(service.checkAndRecord(params(1)), DutyAlreadySignedError);
  await assert.rejects(service.checkAndRecord(params(1, { messageHash: kOtherHash })), SlashingProtectionError);
  const other = await service.checkAndRecord(params(2));
  assert.equal(await service.deleteDuty({ ...params(2), lockToken: 'wrong' }), false);
  assert.equal(await service.deleteDuty({ ...params(2), lockToken: other }), true);
  await service.stop();
  await service.stop();
  await service.close();
  await service.close();
  assert.equal(db.asked('close').length, 1);
});

test('cleans up at start and then periodically: stuck duties but those it holds, and old ones once per their age', async () => {
  const db = new MapDatabase();
  const counts = {};
  db.cleanupOwnStuckDuties = async (...args) => (db.calls.push(['cleanupOwnStuckDuties', ...args]), 2);
  const metrics = { recordCleanup: (type, count) => (counts[type] = (counts[type] ?? 0) + count) };
  const service = new SlashingProtectionService(
    db,
    { ...config, maxStuckDutiesAgeMs: 1, cleanupOldDutiesAfterHours: 0.001 },
    { metrics },
  );
  await service.checkAndRecord(params(1));
  await service.start();
  while (db.asked('cleanupOwnStuckDuties').length < 3) await sleep(10);
  await service.stop();
  assert.deepEqual(db.asked('cleanupOwnStuckDuties')[0], ['cleanupOwnStuckDuties', 'node-1', 1, ['token-1']]);
  assert.deepEqual(db.asked('cleanupOldDuties'), [['cleanupOldDuties', 3600]]);
  assert.ok(counts.stuck >= 6);
});

test('metrics and a date provider are used where they are given', async () => {
  const seen = [];
  const metrics = new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...args) =>
          seen.push([name, ...args]),
    },
  );
  let now = 1000;
  const signer = new ValidatorHASigner(new MapDatabase(), config, { metrics, dateProvider: { now: () => (now += 5) } });
  await signer.signWithProtection(kValidator, kHash, attestation(1), sign);
  for (const hash of [kHash, kOtherHash])
    await signer.signWithProtection(kValidator, hash, attestation(1), sign).catch(() => {});
  await signer
    .signWithProtection(kValidator, kHash, attestation(2), async () => Promise.reject(new Error('no')))
    .catch(() => {});
  await signer.stop();
  assert.deepEqual(seen, [
    ['recordLockAcquire', true],
    ['recordSigningSuccess', 'ATTESTATION', 5],
    ['recordDutyAlreadySigned', 'ATTESTATION'],
    ['recordSlashingProtection', 'ATTESTATION'],
    ['recordLockAcquire', true],
    ['recordSigningError', 'ATTESTATION'],
  ]);

  seen.length = 0;
  const db = new MapDatabase();
  const service = new SlashingProtectionService(db, config, { metrics });
  const { rollupAddress, validatorAddress } = params(1);
  const token = await service.checkAndRecord(params(1));
  await db.updateDutySigned(rollupAddress, validatorAddress, 1, 'ATTESTATION', '0xsignature', token, -1);
  for (const messageHash of [kHash, kOtherHash])
    await service.checkAndRecord(params(1, { messageHash })).catch(() => {});
  await service.stop();
  assert.deepEqual(seen, [
    ['recordLockAcquire', true],
    ['recordDutyAlreadySigned', 'ATTESTATION'],
    ['recordSlashingProtection', 'ATTESTATION'],
  ]);
});

test('metrics that throw neither end a duty nor hide why it was refused', async () => {
  const metrics = new Proxy(
    {},
    {
      get: () => () => {
        throw new Error('of the metrics');
      },
    },
  );
  const signer = new ValidatorHASigner(new MapDatabase(), config, { metrics });
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), await sign());
  await assert.rejects(
    signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign),
    error => error instanceof SlashingProtectionError,
  );
  await signer.stop();
});

test('signers that share a database in memory sign each duty once, and go on when one of them has stopped', async () => {
  const shared = await createSharedSlashingProtectionDb();
  const { nodeId: _, ...settings } = config;
  const signers = Array.from({ length: 4 }, () => createSignerFromSharedDb(shared, settings).signer);
  assert.equal(new Set(signers.map(({ nodeId }) => nodeId)).size, 4);
  const signByAll = (hashOf, those = signers) =>
    Promise.allSettled(
      those.map((signer, i) => signer.signWithProtection(kValidator, hashOf(i), attestation(1), sign)),
    );
  const results = await signByAll(() => kHash);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  await signers[0].stop();
  const refusals = await signByAll(i => (i === 1 ? kOtherHash : kHash), signers.slice(1));
  assert.deepEqual(
    refusals.map(({ reason }) => reason.name),
    ['DutyAlreadySignedError', 'SlashingProtectionError', 'DutyAlreadySignedError'],
  );
  await Promise.all(signers.map(signer => signer.stop()));
});

test('a database in memory keeps to the rules of the tables: tokens, states, bytes of addresses, stuck duties', async () => {
  const shared = await createSharedSlashingProtectionDb();
  const key = (slot, token) => [kRollup, kValidator, slot, 'ATTESTATION', token, -1];
  const { isNew, record } = await shared.tryInsertOrGetExisting(params(1));
  assert.ok(isNew && record.status === 'signing' && record.blockIndexWithinCheckpoint === -1);
  const upperCase = `0x${kValidator.slice(2).toUpperCase()}`;
  const second = await shared.tryInsertOrGetExisting(params(1, { validatorAddress: upperCase, nodeId: 'other' }));
  assert.deepEqual([second.isNew, second.record.nodeId, second.record.lockToken], [false, 'node-1', '']);
  assert.equal(await shared.deleteDuty(...key(1, 'wrong')), false);
  const record_ = token => shared.updateDutySigned(kRollup, kValidator, 1, 'ATTESTATION', '0xs', token, -1);
  assert.deepEqual([await record_('wrong'), await record_(record.lockToken)], [false, true]);
  assert.deepEqual(
    [await record_(record.lockToken), await shared.deleteDuty(...key(1, record.lockToken))],
    [false, false],
  );
  const held = await shared.tryInsertOrGetExisting(params(2));
  await shared.tryInsertOrGetExisting(params(3));
  await shared.tryInsertOrGetExisting(params(4, { nodeId: 'other' }));
  while (Date.now() - held.record.startedAt < 10) await sleep(1);
  assert.equal(await shared.cleanupOwnStuckDuties('node-1', 5, [held.record.lockToken]), 1);
  assert.equal((await shared.tryInsertOrGetExisting(params(3))).isNew, true);
  assert.equal(await shared.deleteDuty(...key(2, held.record.lockToken)), true);
});

test('a test double need not say more than whether the duty is new and its token, and is asked for nothing unknown to it', async () => {
  const asked = [];
  const double = reply => ({
    tryInsertOrGetExisting: async given => (asked.push(given), reply),
    updateDutySigned: async () => true,
    deleteDuty: async () => true,
    cleanupOwnStuckDuties: async (...given) => (asked.push(given), 0),
    close: async () => {},
  });
  const { rollupAddress, ...rest } = config;
  const olderConfig = { ...rest, l1Contracts: { rollupAddress } };
  const winner = new ValidatorHASigner(double({ isNew: true, record: { lockToken: 'token' } }), olderConfig);
  await winner.start();
  assert.equal(await winner.signWithProtection(kValidator, kHash, attestation(5), sign), signature);
  await winner.stop();
  const { dutyType, blockNumber, slot, messageHash, nodeId, validatorAddress } = params(5);
  assert.deepEqual(asked[0], ['node-1', 144_000]);
  const shown = {
    ...asked[1],
    rollupAddress: `${asked[1].rollupAddress}`,
    validatorAddress: `${asked[1].validatorAddress}`,
  };
  const expected = { dutyType, blockNumber, slot, messageHash, nodeId };
  assert.deepEqual(shown, { ...expected, rollupAddress: kRollup, validatorAddress: `${validatorAddress}` });

  const existing = { status: 'signed', messageHash: 'of their own', nodeId: 'other' };
  const loser = new ValidatorHASigner(double({ isNew: false, record: existing }), olderConfig);
  const refusal = await loser.signWithProtection(kValidator, kHash, attestation(5), sign).catch(error => error);
  assert.deepEqual(
    [refusal.name, refusal.existingMessageHash, refusal.attemptedMessageHash],
    ['SlashingProtectionError', 'of their own', kHash],
  );
  await loser.stop();
});
