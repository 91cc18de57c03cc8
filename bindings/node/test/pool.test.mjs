// A caller's pool: pg's, PGlite's, and anything else with query() and end().

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { after, before, test } from 'node:test';

import { PGlite } from '@electric-sql/pglite';
import { PostgresSlashingProtectionDatabase, INSERT_SCHEMA_VERSION, SCHEMA_SETUP, SCHEMA_VERSION } from 'ha-signer/db';
import { DutyAlreadySignedError, SigningLockLostError, SlashingProtectionError } from 'ha-signer/errors';
import { createHASigner } from 'ha-signer/factory';
import { runMigrations } from 'ha-signer/migrations';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';
import { Pool as GlitePool } from 'ha-signer/test';
import { ValidatorHASigner } from 'ha-signer/validator-ha-signer';
import { Pool as PublishedGlitePool } from '@aztec/validator-ha-signer/test';
import pg from 'pg';

import {
  PostgresServer,
  Relay,
  attestation,
  kHash,
  kOtherHash,
  kRollup,
  kSignature,
  kValidator,
  randomAddress,
} from './support.mjs';

let server;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server.remove());

const signature = { toString: () => kSignature };
const sign = async () => signature;
const config = {
  haSigningEnabled: true,
  nodeId: 'node-1',
  pollingIntervalMs: 50,
  signingTimeoutMs: 1000,
  rollupAddress: kRollup,
  databaseUrl: 'postgresql://not-used',
};

async function migrated(options) {
  const database = server.emptyDatabase();
  await runMigrations(server.url(database), options);
  return database;
}

const pgPool = (database, more = {}) => new pg.Pool({ connectionString: server.url(database), ...more });

async function glitePool(Pool = GlitePool) {
  const pglite = new PGlite();
  for (const statement of SCHEMA_SETUP) await pglite.query(statement);
  await pglite.query(INSERT_SCHEMA_VERSION, [SCHEMA_VERSION]);
  return new Pool({ pglite });
}

/** Nothing but the two methods. */
function plainPool(database) {
  const pool = pgPool(database);
  return { query: (text, values) => pool.query(text, values), end: () => pool.end() };
}

async function protectsOn(pool) {
  const { signer, db } = await createHASigner(config, { pool });
  await signer.start();
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(5), sign), signature);
  const again = await signer.signWithProtection(kValidator, kHash, attestation(5), sign).catch(error => error);
  assert.ok(again instanceof DutyAlreadySignedError);
  assert.equal(again.signature, kSignature);
  await assert.rejects(
    signer.signWithProtection(kValidator, kOtherHash, attestation(5), sign),
    SlashingProtectionError,
  );
  await assert.rejects(
    signer.signWithProtection(kValidator, kHash, attestation(6), async () => Promise.reject(new Error('no'))),
    /^Error: no$/,
  );
  await signer.signWithProtection(kValidator, kOtherHash, attestation(6), async () => ({
    toString: () => '0xsignature"\\,{}',
  }));
  await Promise.all(
    Array.from({ length: 500 }, () => signer.signWithProtection(randomAddress(), kHash, attestation(7), sign)),
  );
  const { record } = await db.tryInsertOrGetExisting({
    rollupAddress: kRollup,
    validatorAddress: kValidator,
    slot: 6,
    blockNumber: 0,
    dutyType: 'ATTESTATION',
    messageHash: kHash,
    nodeId: 'x',
  });
  assert.deepEqual(
    [record.status, record.signature, record.messageHash, record.nodeId],
    ['signed', '0xsignature"\\,{}', kOtherHash, 'node-1'],
  );
  await signer.stop();
  await db.close();
}

test("on pg's pool", async () => protectsOn(pgPool(await migrated())));
test("on pg's pool with one connection", async () => protectsOn(pgPool(await migrated({ to: 3 }), { max: 1 })));
test("on a pool over PGlite, the package's own and the published one", async () => {
  await protectsOn(await glitePool());
  await protectsOn(await glitePool(PublishedGlitePool));
});
test('on any object with query() and end()', async () => protectsOn(plainPool(await migrated())));

test('an idle connection that the server ends does no harm, and a lost reply is found again', async () => {
  const database = await migrated();
  const pool = pgPool(database);
  const { signer } = await createHASigner(config, { pool });
  await signer.signWithProtection(kValidator, kHash, attestation(1), sign);
  server.sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}'`);
  await signer.signWithProtection(kValidator, kHash, attestation(2), sign);

  // The reply of the first claim is lost after it was carried out, then that of the first record.
  const query = pool.query.bind(pool);
  for (const [slot, words] of [
    [3, 'insert into validator_duties'],
    [4, 'update validator_duties'],
  ]) {
    let isLost = false;
    pool.query = async (...args) => {
      const result = await query(...args);
      if (isLost || !args[0].includes(words)) return result;
      isLost = true;
      throw new Error('Connection terminated unexpectedly');
    };
    assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(slot), sign), signature);
    assert.ok(isLost);
  }
  delete pool.query;
  assert.equal(server.sql(`select count(*) from validator_duties where status = 'signed'`, database), '4');
  await signer.stop();
});

test("who watches query() of pg's pool sees texts and values, as the published package sends them", async () => {
  const pool = pgPool(await migrated());
  const { signer } = await createHASigner(config, { pool });
  await signer.start();
  const asked = [];
  pool.query = async (...args) => (asked.push(args), pg.Pool.prototype.query.apply(pool, args));
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), signature);
  await assert.rejects(
    signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign),
    SlashingProtectionError,
  );
  for (const words of ['insert into validator_duties', 'update validator_duties']) {
    const [text, values] = asked.find(([text]) => text.includes(words));
    assert.ok(typeof text === 'string' && Array.isArray(values), words);
  }
  await signer.stop();
});

test("query() of pg's pool that was led into an open transaction confirms nothing", async () => {
  const database = await migrated();
  const pool = pgPool(database);
  const { signer } = await createHASigner({ ...config, attemptTimeoutMs: 700 }, { pool });
  await signer.start();
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), signature);
  const client = await pool.connect();
  await client.query('begin');
  pool.query = (...args) => client.query(...args);
  const result = await signer.signWithProtection(kValidator, kHash, attestation(2), sign).catch(error => error);
  // The same where it is taken out again before the record has returned.
  pool.query = async (...args) => {
    const answer = await client.query(...args);
    if (args[0].includes('update validator_duties')) delete pool.query;
    return answer;
  };
  const other = await signer.signWithProtection(kValidator, kHash, attestation(3), sign).catch(error => error);
  delete pool.query;
  await client.query('rollback');
  client.release();
  assert.equal(result.code, 'in_doubt');
  assert.notEqual(other, signature);
  assert.equal(server.sql('select count(*) from validator_duties where slot > 1', database), '0');
  await signer.stop();
});

test('a server that is restarted under load costs time and nothing else', async () => {
  const own = await PostgresServer.start();
  try {
    await runMigrations(own.url());
    const { signer } = await createHASigner(config, { pool: new pg.Pool({ connectionString: own.url() }) });
    await signer.start();
    const work = Array.from({ length: 200 }, (_, i) =>
      signer.signWithProtection(
        kValidator,
        kHash,
        attestation(i),
        async () => (await new Promise(setImmediate), signature),
      ),
    );
    own.stop('immediate');
    own.run();
    assert.deepEqual(new Set(await Promise.all(work)), new Set([signature]));
    await signer.signWithProtection(kValidator, kHash, attestation(1000), sign);
    assert.equal(
      own.sql(`select status, count(*) from validator_duties group by 1`),
      'signed|201',
      'no row stays stuck',
    );
    await signer.stop();
  } finally {
    own.remove();
  }
});

test('a record without a reply gives no signature', async () => {
  const pool = pgPool(await migrated());
  const { signer } = await createHASigner({ ...config, attemptTimeoutMs: 700 }, { pool });
  await signer.start();
  const query = pool.query.bind(pool);
  pool.query = (...args) => (args[0].includes('update validator_duties') ? new Promise(() => {}) : query(...args));
  const result = await signer.signWithProtection(kValidator, kHash, attestation(1), sign).catch(error => error);
  assert.equal(result.code, 'in_doubt');
  delete pool.query;
  await signer.stop();
});

test('a warning of a PL/pgSQL trigger does not put a record in doubt', async () => {
  const database = await migrated();
  const { signer } = await createHASigner(config, { pool: pgPool(database) });
  await signer.start();
  server.sql(
    `create function warn() returns trigger language plpgsql as $$ begin
       raise warning 'a row was written'; return null;
     end $$;
     create constraint trigger warn after update on validator_duties deferrable initially deferred for each row execute function warn()`,
    database,
  );
  server.sql('alter table validator_duties add column writes int default 0', database);
  server.sql(
    `create function count_writes() returns trigger language plpgsql as $$ begin
       if new.status = 'signed' then new.writes := old.writes + 1; end if; return new; end $$;
     create trigger count_writes before update on validator_duties for each row execute function count_writes()`,
    database,
  );
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), signature);
  assert.equal(server.sql('select writes from validator_duties', database), '1', 'confirmed at once');
  await signer.stop();
});

/** Cancels waits for standbys until the work has ended. */
async function whileWaitsAreCancelled(server, work) {
  let hasEnded = false;
  const ended = work.finally(() => (hasEnded = true));
  while (!hasEnded) {
    server.sql(`select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'`);
    await new Promise(setImmediate);
  }
  return ended;
}

test('a cancelled wait for a standby confirms nothing, in any language of the server', async () => {
  const own = await PostgresServer.start();
  try {
    await runMigrations(own.url());
    own.stop();
    own.run({ synchronous_standby_names: 'elsewhere' });
    for (const severity of ['WARNING', 'WARNUNG']) {
      const pool = new pg.Pool({ connectionString: own.url(), options: '-c synchronous_commit=local' });
      pool.on('connect', client => client.connection.prependListener('notice', notice => (notice.severity = severity)));
      const { signer, db } = await createHASigner({ ...config, nodeId: severity, attemptTimeoutMs: 1500 }, { pool });
      await signer.start();
      const validatorAddress = randomAddress();
      const signing = signer.signWithProtection(validatorAddress, kHash, attestation(1), sign).catch(error => error);
      assert.equal((await whileWaitsAreCancelled(own, signing)).code, 'in_doubt', severity);
      const service = new SlashingProtectionService(db, config);
      const duty = {
        rollupAddress: kRollup,
        validatorAddress,
        slot: 2,
        blockNumber: 7,
        dutyType: 'ATTESTATION',
        messageHash: kHash,
      };
      const lockToken = await service.checkAndRecord(duty);
      const recording = service.recordSuccess({ ...duty, signature, lockToken });
      assert.equal(await whileWaitsAreCancelled(own, recording), false, severity);
      await service.stop();
      await signer.stop();
    }
  } finally {
    own.remove();
  }
});

test('a client that begins a transaction while it serves as a pool confirms nothing in it', async () => {
  const client = new pg.Client({ connectionString: server.url(await migrated()) });
  await client.connect();
  const { signer, db } = await createHASigner({ ...config, attemptTimeoutMs: 700 }, { pool: client });
  const service = new SlashingProtectionService(db, config);
  await signer.start();
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), signature);
  const duty = {
    rollupAddress: kRollup,
    validatorAddress: kValidator,
    slot: 2,
    blockNumber: 7,
    dutyType: 'ATTESTATION',
    messageHash: kHash,
  };
  const lockToken = await service.checkAndRecord(duty);
  await client.query('begin');
  const result = await signer.signWithProtection(kValidator, kHash, attestation(3), sign).catch(error => error);
  assert.equal(result.code, 'in_doubt');
  await assert.rejects(service.recordSuccess({ ...duty, signature, lockToken }), /inside a transaction/);
  await client.query('rollback');
  await service.stop();
  await signer.stop();
});

test("a client that was given back to pg's pool inside a transaction confirms nothing", async () => {
  const pool = pgPool(await migrated(), { max: 1 });
  const { signer } = await createHASigner({ ...config, attemptTimeoutMs: 700 }, { pool });
  await signer.start();
  const client = await pool.connect();
  await client.query('begin');
  client.release();
  const result = await signer.signWithProtection(kValidator, kHash, attestation(1), sign).catch(error => error);
  assert.equal(result.code, 'in_doubt');
  await pool.query('rollback');
  assert.equal(await signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign), signature);
  await signer.stop();
});

test('a claim whose look was never sent leaves no duty locked', async () => {
  const database = await migrated();
  const pool = pgPool(database);
  const { signer } = await createHASigner({ ...config, attemptTimeoutMs: 700 }, { pool });
  await signer.start();
  const query = pool.query.bind(pool);
  pool.query = (...args) =>
    args[0].includes('written_rollup')
      ? Promise.reject(new Error('timeout exceeded when trying to connect'))
      : query(...args);
  const result = await signer.signWithProtection(kValidator, kHash, attestation(1), sign).catch(error => error);
  assert.equal(result.code, 'unavailable');
  delete pool.query;
  const giveUp = Date.now() + 5000;
  while (server.sql('select count(*) from validator_duties', database) !== '0') {
    assert.ok(Date.now() < giveUp, 'the row of the claim is still there');
    await new Promise(setImmediate);
  }
  await signer.stop();
});

test('a pool that shows no warnings is refused on a server with synchronous standbys', async () => {
  const own = await PostgresServer.start();
  try {
    await runMigrations(own.url());
    own.stop();
    own.run({ synchronous_standby_names: 'elsewhere', synchronous_commit: 'off' });
    const pool = new pg.Pool({ connectionString: own.url(), options: '-c synchronous_commit=local' });
    const plain = { query: (text, values) => pool.query(text, values), end: () => pool.end() };
    const { signer } = await createHASigner(config, { pool: plain });
    await assert.rejects(signer.start(), /synchronous standbys/);
    await signer.stop();
  } finally {
    own.remove();
  }
});

test('a client inside a transaction is refused as a pool', async () => {
  const client = new pg.Client({ connectionString: server.url(await migrated()) });
  await client.connect();
  await client.query('begin');
  const { signer } = await createHASigner(config, { pool: client });
  await assert.rejects(signer.start(), /inside a transaction/);
  await signer.stop();
});

test('the pool gets an error listener, and close() ends it once', async () => {
  const pool = Object.assign(await glitePool(), {});
  const { signer, db } = await createHASigner(config, { pool });
  assert.ok(pool.listenerCount('error') > 0);
  assert.doesNotThrow(() => pool.emit('error', new Error('idle client')));
  let ends = 0;
  pool.once('end', () => ends++);
  await signer.stop();
  await db.close();
  assert.equal(ends, 1);
  assert.ok(pool instanceof EventEmitter);
});

test('replaced methods are called from then on', async () => {
  const db = new PostgresSlashingProtectionDatabase(await glitePool());
  const signer = new ValidatorHASigner(db, config);
  await signer.start();
  await signer.signWithProtection(kValidator, kHash, attestation(1), sign);
  db.updateDutySigned = async () => false;
  await assert.rejects(signer.signWithProtection(kValidator, kHash, attestation(2), sign), SigningLockLostError);
  await signer.stop();
});

test('several signers of one process on one database object are one node', async () => {
  const db = new PostgresSlashingProtectionDatabase(pgPool(await migrated()));
  const other = randomAddress();
  const signers = [config, { ...config, rollupAddress: other }, config].map(c => new ValidatorHASigner(db, c));
  await Promise.all(signers.map(signer => signer.start()));
  await Promise.all(
    signers.slice(0, 2).map(signer => signer.signWithProtection(kValidator, kHash, attestation(1), sign)),
  );
  await assert.rejects(
    signers[2].signWithProtection(kValidator, kOtherHash, attestation(1), sign),
    SlashingProtectionError,
  );
  await Promise.all(signers.map(signer => signer.stop()));
});

test('initialize() tells uninitialized, outdated and newer databases apart, and passes on every other cause', async () => {
  const missing =
    'Database schema not initialized. Please run migrations first: aztec migrate-ha-db up --database-url <url>';
  const refusal = async prepare => {
    const pglite = new PGlite();
    await prepare(pglite);
    const error = await new PostgresSlashingProtectionDatabase(new GlitePool({ pglite })).initialize().catch(e => e);
    await pglite.close();
    return error.message;
  };
  const setUp = version => async pglite => {
    for (const statement of SCHEMA_SETUP) await pglite.query(statement);
    if (version !== undefined) await pglite.query(INSERT_SCHEMA_VERSION, [version]);
  };
  assert.equal(await refusal(async () => {}), missing);
  assert.equal(await refusal(setUp()), missing);
  assert.equal(
    await refusal(setUp(0)),
    'Database schema version 0 is outdated (expected 1). Please run migrations: aztec migrate-ha-db up --database-url <url>',
  );
  assert.equal(
    await refusal(setUp(2)),
    'Database schema version 2 is newer than expected (1). Please update your application.',
  );
  const published = await refusal(async pglite => {
    for (const statement of SCHEMA_SETUP.slice(0, 4)) await pglite.query(statement);
    await pglite.query(INSERT_SCHEMA_VERSION, [1]);
  });
  assert.match(
    published,
    /^Database schema not initialized.*ha_signer_watermarks/,
    'made by the published package alone',
  );
  const closed = new PostgresSlashingProtectionDatabase(
    new pg.Pool({ connectionString: 'postgresql://postgres@127.0.0.1:1/x' }),
  );
  await assert.rejects(closed.initialize(), /ECONNREFUSED/);
});

test('connections that die in silence are given up, and the pool replaces them', async () => {
  const relay = await Relay.to(server.port);
  const url = server.url(await migrated()).replace(`:${server.port}/`, `:${relay.port}/`);
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const { signer } = await createHASigner({ ...config, attemptTimeoutMs: 1000 }, { pool });
  await signer.start();
  await Promise.all([1, 2, 3].map(slot => signer.signWithProtection(kValidator, kHash, attestation(slot), sign)));
  assert.ok(relay.silence() > 0);
  const startedAt = Date.now();
  for (let slot = 4, signed = false; !signed; ++slot) {
    assert.ok(Date.now() - startedAt < 20_000, 'no connection was replaced');
    signed = await signer.signWithProtection(kValidator, kHash, attestation(slot), sign).catch(error => {
      assert.equal(error.name, 'HASignerError');
      return false;
    });
  }
  await signer.stop();
  relay.close();
});
