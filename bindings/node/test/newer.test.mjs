// The shapes of 5.x and of later releases: settings, records, retention of each row, databases of callers, and which release
// is installed.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, before, test } from 'node:test';

import { EthAddress } from '@aztec/foundation/eth-address';
import { PostgresSlashingProtectionDatabase, recordFromFields } from 'ha-signer/db';
import { LmdbSlashingProtectionDatabase } from 'ha-signer/db/lmdb';
import { createHASigner } from 'ha-signer/factory';
import { runMigrations } from 'ha-signer/migrations';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';
import { ValidatorHASigner } from 'ha-signer/validator-ha-signer';
import pg from 'pg';

import { PostgresServer, kHash, kOtherHash, kRollup, kSignature, kValidator } from './support.mjs';

const rollupAddress = EthAddress.fromString(kRollup);
const validatorAddress = EthAddress.fromString(kValidator);
const config = { nodeId: 'node-1', rollupAddress, pollingIntervalMs: 10, peerSigningTimeoutMs: 100 };
const deps = { metrics: {}, dateProvider: { now: () => Date.now() } };
const params = more => ({
  rollupAddress,
  validatorAddress,
  slot: 5,
  blockNumber: 0,
  checkpointNumber: 9,
  dutyType: 'ATTESTATION',
  messageHash: kHash,
  nodeId: 'node-1',
  ...more,
});
const signedBy = (db, { record }) =>
  db.updateDutySigned(rollupAddress, validatorAddress, record.slot, record.dutyType, kSignature, record.lockToken, -1);

let server;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server.remove());

async function databaseOf(to) {
  const name = server.emptyDatabase();
  await runMigrations(server.url(name), { to });
  const db = new PostgresSlashingProtectionDatabase(new pg.Pool({ connectionString: server.url(name) }));
  await db.initialize();
  return { name, db };
}

/** The methods of a database of a later release, and what they were asked. */
function laterDatabase() {
  const asked = [];
  const tell =
    (name, reply) =>
    (...given) => (asked.push([name, ...given]), Promise.resolve(reply));
  return {
    asked,
    tryInsertOrGetExisting: tell('insert', { isNew: true, record: { lockToken: 'token' } }),
    updateDutySigned: tell('update', true),
    deleteDuty: tell('delete', true),
    cleanupOwnStuckDuties: tell('stuck', 0),
    cleanupOldDuties: tell('old', 0),
    close: tell('close'),
  };
}

test('configs with rollupAddress need not be enabled; those with l1Contracts are asked first, then for the node id', () => {
  const make = (given, ...more) => new ValidatorHASigner(laterDatabase(), given, ...more);
  for (const haSigningEnabled of [undefined, false, true]) {
    assert.equal(make({ ...config, haSigningEnabled }, deps).nodeId, 'node-1');
    assert.throws(() => make({ ...config, haSigningEnabled, nodeId: '' }, deps), /^Error: NODE_ID is required for/);
  }
  const { rollupAddress: address, ...older } = { ...config, l1Contracts: { rollupAddress } };
  assert.equal(make({ ...older, haSigningEnabled: true }).nodeId, 'node-1');
  for (const haSigningEnabled of [undefined, false])
    assert.throws(() => make({ ...older, haSigningEnabled, nodeId: '' }), /^Error: Validator HA Signer is not enabled/);
  assert.throws(() => make({ ...older, haSigningEnabled: true, nodeId: '' }), /^Error: NODE_ID is required for/);
  new SlashingProtectionService(laterDatabase(), { ...config, nodeId: '' }, deps);
});

test('the factory asks for the URL first, then for the tables, then for the node id', async () => {
  const empty = server.url(server.emptyDatabase());
  const refusal = given => createHASigner({ ...config, ...given }).then(assert.fail, error => error.message);
  assert.equal(await refusal({ nodeId: '' }), 'databaseUrl is required for createHASigner');
  assert.match(await refusal({ nodeId: '', databaseUrl: empty }), /^Database schema not initialized/);
  await runMigrations(empty, { to: 2 });
  assert.match(await refusal({ nodeId: '', databaseUrl: { getValue: () => empty } }), /^NODE_ID is required/);
});

test('records carry the checkpoint number from schema 2 on', async () => {
  for (const [version, checkpoint] of [
    [1, undefined],
    [2, 9],
    [3, 9],
  ]) {
    const { db } = await databaseOf(version);
    const made = await db.tryInsertOrGetExisting(params());
    const found = await db.tryInsertOrGetExisting(params({ checkpointNumber: 10 }));
    assert.deepEqual([made.isNew, made.record.checkpointNumber], [true, checkpoint]);
    assert.deepEqual([found.isNew, found.record.checkpointNumber], [false, checkpoint]);
    await db.close();
  }
});

test('schema 3: a row keeps its own deadline, and cleanupOldDuties() without an age removes what is over, for good', async () => {
  const { name, db } = await databaseOf(3);
  const made = await db.tryInsertOrGetExisting(params({ retentionMs: 3_600_000 }));
  await db.tryInsertOrGetExisting(params({ slot: 6, retentionMs: 0 }));
  await db.tryInsertOrGetExisting(params({ slot: 7 }));
  await assert.rejects(
    db.tryInsertOrGetExisting(params({ slot: 8, retentionMs: -1 })),
    /retentionMs is -1; it must be/,
  );
  assert.equal(
    server.sql(`select slot, date_trunc('second', expires_at - started_at) from validator_duties order by slot`, name),
    '5|01:00:00\n6|00:00:00\n7|',
  );
  assert.equal(await signedBy(db, made), true);
  assert.equal(await db.cleanupOldDuties(), 1, 'slot 6, although it is still signing');
  server.sql(`update validator_duties set expires_at = started_at where slot = 5`, name);
  assert.equal(await db.cleanupOldDuties(), 1);
  assert.equal(server.sql('select slot from validator_duties', name), '7');

  const { signer } = await createHASigner({
    ...config,
    cleanupOldDutiesAfterHours: 24,
    databaseUrl: server.url(name),
  });
  const sign = (slot, hash) =>
    signer.signWithProtection(
      validatorAddress,
      hash,
      { dutyType: 'ATTESTATION', slot, checkpointNumber: 9 },
      () => kSignature,
    );
  await assert.rejects(sign(5, kOtherHash), error => error.code === 'outside_watermark');
  assert.equal(await sign(9, kHash), kSignature);
  const kept = `select date_trunc('second', expires_at - started_at), checkpoint_number from validator_duties where slot = 9`;
  assert.equal(server.sql(kept, name), '1 day|9');
  await Promise.all([signer.stop(), db.close()]);
});

test('below schema 3 rows have no deadline: clean-up without an age removes none, with an age the older ones', async () => {
  const { db } = await databaseOf(2);
  assert.equal(await signedBy(db, await db.tryInsertOrGetExisting(params({ retentionMs: 0 }))), true);
  assert.equal(await db.cleanupOldDuties(), 0);
  assert.equal(await db.cleanupOldDuties(0), 1);
  await db.close();
});

test('a database of a later release is told the retention of each row, and is cleaned up without an age', async () => {
  const db = laterDatabase();
  const signer = new ValidatorHASigner(db, { ...config, cleanupOldDutiesAfterHours: 2 }, deps);
  await signer.start();
  const context = { dutyType: 'ATTESTATION', slot: 5, checkpointNumber: 9 };
  assert.equal(await signer.signWithProtection(validatorAddress, kHash, context, () => kSignature), kSignature);
  await signer.stop();
  const [stuck, old, insert] = db.asked;
  assert.deepEqual([stuck, old], [['stuck', 'node-1', 144_000], ['old']]);
  assert.equal(insert[1].validatorAddress, validatorAddress, "the caller's own object");
  assert.equal(insert[1].rollupAddress, rollupAddress);
  assert.deepEqual([insert[1].retentionMs, insert[1].checkpointNumber, insert[1].blockNumber], [7_200_000, 9, 0]);
});

test('the LMDB database keeps one message of a duty on a key-value store of the node', async () => {
  const maps = { 'signing-protection-duties': new Map(), 'ha-signer-watermarks': new Map() };
  const map = maps['signing-protection-duties'];
  const opened = entries => ({
    getAsync: async key => entries.get(key),
    set: async (key, value) => void entries.set(key, value),
    delete: async key => void entries.delete(key),
    entriesAsync: async function* () {
      yield* [...entries];
    },
  });
  let turn = Promise.resolve();
  const store = {
    openMap: name => opened(maps[name]),
    transactionAsync: run => (turn = turn.catch(() => {}).then(run)),
    close: async () => {},
  };
  let now = 1000;
  const db = new LmdbSlashingProtectionDatabase(store, { now: () => now });
  const made = await db.tryInsertOrGetExisting(params({ retentionMs: 500 }));
  assert.ok(made.isNew && made.record.rollupAddress instanceof EthAddress);
  assert.deepEqual([...map.keys()], [`${kRollup}:${kValidator}:5:ATTESTATION:-1`]);
  assert.equal((await db.tryInsertOrGetExisting(params())).record.lockToken, '');
  assert.equal(await signedBy(db, made), true);
  assert.equal(await signedBy(db, made), false, 'a signed duty does not change');
  assert.equal(
    await db.deleteDuty(rollupAddress, validatorAddress, 5, 'ATTESTATION', made.record.lockToken, -1),
    false,
  );
  const stored = map.values().next().value;
  assert.deepEqual(
    [stored.status, stored.slot, stored.checkpointNumber, stored.expiresAtMs],
    ['signed', '5', '9', 1500],
  );
  assert.equal(recordFromFields(stored).completedAt.getTime(), 1000);
  const signer = new ValidatorHASigner(db, config, deps);
  const context = { dutyType: 'ATTESTATION', slot: 5, checkpointNumber: 9 };
  await assert.rejects(
    signer.signWithProtection(validatorAddress, kOtherHash, context, () => kSignature),
    {
      name: 'SlashingProtectionError',
    },
  );
  await signer.stop();
  now = 1500;
  assert.equal(await db.cleanupOldDuties(), 1);
  const again = params({ messageHash: kOtherHash });
  await assert.rejects(db.tryInsertOrGetExisting(again), error => error.code === 'outside_watermark');
  assert.ok((await db.tryInsertOrGetExisting({ ...again, slot: 6 })).isNew);
});

/** The release that is found by the package in `own` beside packages of a node. */
async function releaseOf(own, files) {
  const root = mkdtempSync(join(tmpdir(), 'ha-signer-release-'));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
    }
    mkdirSync(join(root, own), { recursive: true });
    cpSync('node_modules/ha-signer/package.json', join(root, own, 'package.json'));
    cpSync('node_modules/ha-signer/lib/installed_release.js', join(root, own, 'lib/installed_release.js'));
    const module = await import(pathToFileURL(join(root, own, 'lib/installed_release.js')));
    return module.demandedVersion();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('the version of the tables is that of the release that stands beside the package, under any scope', async () => {
  const named = (name, version) => ({ name, version });
  const expected = async (version, words, own, files) => {
    const release = await releaseOf(own, files);
    assert.equal(release.version, version, release.reason);
    assert.match(release.reason, words);
  };
  await expected(1, /@aztec\/stdlib 4\.1\.2 in .* up to 4\.x/, 'node_modules/@aztec/validator-ha-signer', {
    'node_modules/@aztec/stdlib/package.json': named('@aztec/stdlib', '4.1.2'),
  });
  await expected(2, /@aztec\/foundation 5\.2\.0 in .* 5\.x/, 'node_modules/@aztec/validator-ha-signer', {
    'node_modules/@aztec/foundation/package.json': named('@aztec/foundation', '5.2.0'),
  });
  await expected(2, /@aztec\/ethereum 5\.1\.0/, 'node_modules/@aztec/validator-ha-signer', {
    'node_modules/@aztec/ethereum/package.json': named('@aztec/ethereum', '5.1.0'),
  });
  await expected(2, /5\.x/, 'node_modules/ha-signer', {
    'node_modules/@aztec-labs/stdlib/package.json': named('@aztec-labs/stdlib', '5.9.0'),
  });
  const workspace = (scope, settings) => ({
    'yarn-project/stdlib/package.json': named(`${scope}/stdlib`, '0.1.0'),
    ...(settings && { 'yarn-project/stdlib/dest/ha-signing/config.js': settings }),
  });
  await expected(1, /up to 4/, 'yarn-project/validator-ha-signer', workspace('@aztec'));
  await expected(2, /no deadline/, 'yarn-project/validator-ha-signer', workspace('@aztec', 'disabled if not set'));
  await expected(3, /slashing window/, 'yarn-project/validator-ha-signer', workspace('@labs', 'full slashing window'));
  await expected(3, /@labs\/validator-ha-signer 0\.1\.0 in .* demands it/, 'yarn-project/ha-signer', {
    ...workspace('@labs', 'disabled if not set'),
    'yarn-project/validator-ha-signer/package.json': named('@labs/validator-ha-signer', '0.1.0'),
    'yarn-project/validator-ha-signer/dest/db/schema.js': 'export const SCHEMA_VERSION = 3;',
  });
});

test('migrations go to the version that was told, or else to that of the installed release', async t => {
  const said = [];
  t.mock.method(process.stderr, 'write', text => said.push(text));
  const url = server.url(server.emptyDatabase());
  const version = () => server.sql('select max(version) from schema_version', new URL(url).pathname.slice(1));
  assert.deepEqual(await runMigrations(url), ['1_initial-schema']);
  assert.match(said.pop(), /migrating to schema version 1: @aztec\/validator-ha-signer 4\.1\.2 in .* demands it\n$/);
  process.env.HA_SIGNER_SCHEMA_VERSION = '2';
  assert.deepEqual([await runMigrations(url), version()], [['2_add-checkpoint-number'], '2']);
  assert.match(said.pop(), /schema version 2: HA_SIGNER_SCHEMA_VERSION says so/);
  assert.deepEqual([await runMigrations(url, { to: 3 }), version()], [['3_add-duty-expiry'], '3']);
  assert.match(said.pop(), /schema version 3: to says so/);
  process.env.HA_SIGNER_SCHEMA_VERSION = 'three';
  await assert.rejects(runMigrations(url), /HA_SIGNER_SCHEMA_VERSION is three; it must be 1, 2 or 3/);
  delete process.env.HA_SIGNER_SCHEMA_VERSION;
  assert.deepEqual([await runMigrations(url), version()], [[], '3'], 'never back');
});
