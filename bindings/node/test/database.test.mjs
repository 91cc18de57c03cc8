// PostgresSlashingProtectionDatabase: its methods, and the statements that ./db exports.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EthAddress } from '@aztec/foundation/eth-address';
import * as published from '@aztec/validator-ha-signer/db';
import { PGlite } from '@electric-sql/pglite';
import * as ours from 'ha-signer/db';
import { runMigrations } from 'ha-signer/migrations';
import { Pool as GlitePool } from 'ha-signer/test';
import pg from 'pg';

import { PostgresServer, kHash, kOtherHash, kRollup, kValidator, randomAddress } from './support.mjs';

const { PostgresSlashingProtectionDatabase } = ours;

let server;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server.remove());

async function openDatabase({ to, ...options } = {}) {
  const name = server.emptyDatabase();
  await runMigrations(server.url(name), { to });
  const pool = new pg.Pool({ connectionString: server.url(name), ...options });
  const db = new PostgresSlashingProtectionDatabase(pool);
  await db.initialize();
  return { db, pool, name };
}

const params = (more = {}) => ({
  rollupAddress: EthAddress.fromString(kRollup),
  validatorAddress: EthAddress.fromString(kValidator),
  slot: 5,
  blockNumber: 50,
  dutyType: 'BLOCK_PROPOSAL',
  blockIndexWithinCheckpoint: 0,
  messageHash: kHash,
  nodeId: 'node-1',
  ...more,
});
const update = (db, token, { slot = 5, type = 'BLOCK_PROPOSAL', index = 0, signature = '0xsignature' } = {}) =>
  db.updateDutySigned(kRollup, kValidator, slot, type, signature, token, index);

test('a migration gives rights to roles that are named, and to no other', async () => {
  const name = server.emptyDatabase();
  const admin = new pg.Pool({ connectionString: server.url(name) });
  for (const role of ['published', 'signer']) await admin.query(`create role ${name}_${role}`);
  await runMigrations(server.url(name), { grantTo: `${name}_signer` });
  await admin.query(`grant insert on validator_duties to ${name}_published`);
  await runMigrations(server.url(name));
  for (const [role, may] of Object.entries({ published: false, signer: true })) {
    const { rows } = await admin.query(`select has_table_privilege($1, 'ha_signer_nodes', 'insert') as may`, [`${name}_${role}`]);
    assert.equal(rows[0].may, may, role);
  }
  await admin.end();
});

test('inserts or gets, as Aztec classes and exact numbers; the token is for its owner only', async () => {
  const { db } = await openDatabase();
  const largest = Number.MAX_SAFE_INTEGER;
  const { isNew, record } = await db.tryInsertOrGetExisting(params({ slot: largest, blockNumber: largest }));
  assert.ok(isNew && record.rollupAddress instanceof EthAddress && record.startedAt instanceof Date);
  assert.deepEqual(
    [
      record.slot,
      record.blockNumber,
      record.blockIndexWithinCheckpoint,
      record.status,
      record.messageHash,
      record.lockToken.length,
    ],
    [largest, largest, 0, 'signing', kHash, 32],
  );
  const again = await db.tryInsertOrGetExisting(params({ slot: largest, nodeId: 'node-2' }));
  assert.deepEqual([again.isNew, again.record.nodeId, again.record.lockToken], [false, 'node-1', '']);
  for (const wrong of [
    { slot: -1 },
    { messageHash: '0x12' },
    { blockIndexWithinCheckpoint: -1 },
    { dutyType: 'AUTH_REQUEST' },
    { nodeId: '' },
    { validatorAddress: 'me' },
  ]) {
    await assert.rejects(db.tryInsertOrGetExisting(params({ slot: 6, ...wrong })));
  }
  await db.close();
});

test('records and deletes under the token only, and what is signed stays as it is', async () => {
  const { db, pool } = await openDatabase();
  const { record } = await db.tryInsertOrGetExisting(params());
  assert.equal(await update(db, 'wrong'), false);
  assert.equal(
    await db.updateDutySigned(randomAddress(), kValidator, 5, 'BLOCK_PROPOSAL', 's', record.lockToken, 0),
    false,
  );
  assert.equal(await db.deleteDuty(kRollup, kValidator, 5, 'BLOCK_PROPOSAL', 'wrong', 0), false);
  assert.equal(await update(db, record.lockToken), true);
  assert.equal(await update(db, record.lockToken, { signature: 'new' }), false);
  assert.equal(await db.deleteDuty(kRollup, kValidator, 5, 'BLOCK_PROPOSAL', record.lockToken, 0), false);
  const { rows } = await pool.query(
    'select status, signature, completed_at >= started_at as ordered from validator_duties',
  );
  assert.deepEqual(rows, [{ status: 'signed', signature: '0xsignature', ordered: true }]);
  await db.close();
});

test('a reply that shows no row is asked for again, up to three times; more than one row is an error', async () => {
  const pglite = new PGlite();
  for (const statement of ours.SCHEMA_SETUP) await pglite.query(statement);
  await pglite.query(ours.INSERT_SCHEMA_VERSION, [ours.SCHEMA_VERSION]);
  const pool = new GlitePool({ pglite });
  const db = new PostgresSlashingProtectionDatabase(pool);
  const query = pool.query.bind(pool);
  for (const missing of [1, 2, 3]) {
    let calls = 0;
    pool.query = async (...args) => (++calls <= missing ? { rows: [], rowCount: 0 } : query(...args));
    assert.equal((await db.tryInsertOrGetExisting(params({ slot: missing }))).isNew, true);
    assert.equal(calls, missing + 1);
  }
  pool.query = async () => ({ rows: [], rowCount: 0 });
  await assert.rejects(db.tryInsertOrGetExisting(params()), /^Error: INSERT_OR_GET_DUTY returned no rows$/);
  pool.query = async () => ({ rows: [{}, {}], rowCount: 2 });
  await assert.rejects(
    db.tryInsertOrGetExisting(params()),
    /^Error: INSERT_OR_GET_DUTY returned 2 rows \(expected exactly 1\).$/,
  );
  await pglite.close();
});

test('after a lost reply the own row is recognised', async () => {
  const { db, pool, name } = await openDatabase();
  const query = pool.query.bind(pool);
  let isLost = false;
  pool.query = async (...args) => {
    const result = await query(...args);
    if (isLost) return result;
    isLost = true;
    throw new Error('Connection terminated unexpectedly');
  };
  const { isNew, record } = await db.tryInsertOrGetExisting(params());
  assert.ok(isNew);
  assert.equal(server.sql('select lock_token from validator_duties', name), record.lockToken);
  await db.close();
});

test('a row in another letter case is the same duty, and so is one under a block index that its type does not have', async () => {
  const { db, name } = await openDatabase();
  const foreign = (validator, type, index) =>
    server.sql(
      `insert into validator_duties values ('${kRollup}', '${validator}', 5, 1, ${index}, '${type}', 'signed', '${kHash.toUpperCase()}', '0xs', 'other', 't', now(), now())`,
      name,
    );
  foreign(kValidator.toUpperCase().replace('0X', '0x'), 'BLOCK_PROPOSAL', 0);
  foreign(kValidator, 'ATTESTATION', 0);
  for (const duty of [params(), params({ dutyType: 'ATTESTATION' })]) {
    const { isNew, record } = await db.tryInsertOrGetExisting(duty);
    assert.deepEqual([isNew, record.nodeId, record.status, record.lockToken], [false, 'other', 'signed', '']);
  }
  await db.close();
});

test('the slot of a deleted duty is not recorded again', async () => {
  const { db, name } = await openDatabase();
  const { record } = await db.tryInsertOrGetExisting(params());
  await update(db, record.lockToken);
  server.sql(
    `update validator_duties set started_at = started_at - interval '2 hours', completed_at = started_at`,
    name,
  );
  assert.equal(await db.cleanupOldDuties(3_600_000), 1);
  const again = await db.tryInsertOrGetExisting(params({ messageHash: kOtherHash }));
  assert.equal(again.isNew, true);
  assert.equal(await update(db, again.record.lockToken), false, 'the watermark forbids it');
  await db.close();
});

test('clean-up deletes what it says and nothing else', async () => {
  const { db, name } = await openDatabase();
  const insert = (slot, status, node, token, age) =>
    server.sql(
      `insert into validator_duties values ('${kRollup}', '${kValidator}', ${slot}, 1, -1, 'ATTESTATION', '${status}', '${kHash}', '0xs', '${node}', '${token}', now() at time zone 'UTC' - interval '${age}', null)`,
      name,
    );
  insert(1, 'signing', 'node-1', 'held', '10 minutes');
  insert(2, 'signing', 'node-1', 'stuck', '10 minutes');
  insert(3, 'signing', 'node-2', 'other', '10 minutes');
  insert(4, 'signing', 'node-1', 'fresh', '1 second');
  insert(5, 'signed', 'node-1', 'done', '2 hours');
  assert.equal(await db.cleanupOwnStuckDuties('node-1', 60_000, ['held', 'a"b\\c']), 1);
  assert.equal(await db.cleanupOwnStuckDuties('node-1', 60_000), 1);
  assert.equal(await db.cleanupOldDuties(3_600_000), 1);
  assert.equal(server.sql('select slot from validator_duties order by 1', name), '3\n4');
  await db.tryInsertOrGetExisting(params({ rollupAddress: randomAddress() }));
  assert.equal(await db.cleanupOutdatedRollupDuties(kRollup), 1);
  assert.equal(await db.cleanupOutdatedRollupDuties(EthAddress.fromString(kRollup.toLowerCase())), 0);
  await db.close();
});

test('times are UTC for any time zone of the session and the process', async () => {
  const before_ = process.env.TZ;
  for (const zone of ['Asia/Tokyo', 'America/Los_Angeles']) {
    process.env.TZ = zone;
    const { db, name } = await openDatabase({ options: `-c TimeZone=${zone}` });
    const { record } = await db.tryInsertOrGetExisting(params());
    assert.ok(Math.abs(record.startedAt.getTime() - Date.now()) < 60_000, `${zone}: ${record.startedAt}`);
    assert.equal(
      server.sql(
        `select abs(extract(epoch from started_at - now() at time zone 'UTC')) < 60 from validator_duties`,
        name,
      ),
      't',
    );
    assert.equal(await db.cleanupOwnStuckDuties('node-1', 60_000), 0);
    await db.close();
  }
  process.env.TZ = before_ ?? 'UTC';
});

test('newer versions of the tables have the checkpoint number, and rows that do not expire', async () => {
  const { db, name } = await openDatabase({ to: 3 });
  await db.tryInsertOrGetExisting(params({ checkpointNumber: 9 }));
  assert.equal(server.sql('select checkpoint_number, expires_at is null from validator_duties', name), '9|t');
  await db.close();
});

test('SCHEMA_SETUP makes the tables that the published package makes, and they work with its statements', async () => {
  const columns = `select column_name, data_type, character_maximum_length, is_nullable, column_default from information_schema.columns
                   where table_name in ('validator_duties', 'schema_version') order by table_name, ordinal_position`;
  const constraints = `select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid in ('validator_duties'::regclass, 'schema_version'::regclass) order by 1`;
  const indexes = `select indexname, indexdef from pg_indexes where tablename = 'validator_duties' and indexname not like 'ha_signer%' order by 1`;
  const shapes = [];
  for (const kit of [ours, published]) {
    const name = server.emptyDatabase();
    const pool = new pg.Pool({ connectionString: server.url(name) });
    for (const statement of kit.SCHEMA_SETUP) await pool.query(statement);
    await pool.query(kit.INSERT_SCHEMA_VERSION, [kit.SCHEMA_VERSION]);
    shapes.push([columns, constraints, indexes].map(text => server.sql(text, name)));
    if (kit === ours) {
      for (const used of [published, ours]) {
        const args = [kRollup, kValidator, used === ours ? '1' : '2', '3', -1, 'ATTESTATION', kHash, 'n', 'token'];
        const rows = [
          await pool.query(used.INSERT_OR_GET_DUTY, args),
          await pool.query(used.INSERT_OR_GET_DUTY, [...args.slice(0, 8), 'another']),
        ].map(r => r.rows[0]);
        assert.deepEqual(
          rows.map(row => [row.is_new, row.lock_token, row.status]),
          [
            [true, 'token', 'signing'],
            [false, '', 'signing'],
          ],
        );
        assert.equal(
          (await pool.query(used.UPDATE_DUTY_SIGNED, ['0xs', kRollup, kValidator, args[2], 'ATTESTATION', -1, 'token']))
            .rowCount,
          1,
        );
        assert.equal(
          (await pool.query(used.DELETE_DUTY, [kRollup, kValidator, args[2], 'ATTESTATION', -1, 'token'])).rowCount,
          0,
        );
      }
      assert.equal((await pool.query(ours.GET_STUCK_DUTIES, [new Date()])).rows.length, 0);
    }
    await pool.end();
  }
  assert.deepEqual(shapes[0], shapes[1]);
});
