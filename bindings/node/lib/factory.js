import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { native, operate } from './core.js';
import { InMemorySlashingProtectionDatabase } from './db/in_memory.js';
import { PostgresSlashingProtectionDatabase, refusedDatabase } from './db/postgres.js';
import { HASignerError } from './errors.js';
import { LocalSlashingProtectionDatabase } from './local_database.js';
import { HASignerMetrics } from './metrics.js';
import { signerSettings } from './settings.js';
import { open } from './stores.js';
import { secretOf } from './values.js';
import { ValidatorHASigner } from './validator_ha_signer.js';

const kDatabaseFile = 'signing-protection.sqlite';
/** Where the published package keeps its own history. */
const kNodeHistory = 'signing-protection';

/** The core's own connections to PostgreSQL, used instead of a pool. */
class OwnPool {
  #number;

  static async open(config) {
    const pool = new OwnPool();
    const settings = {
      url: String(secretOf(config.databaseUrl)),
      max: config.poolMaxCount ?? native.defaults.poolMaxCount,
      min: config.poolMinCount ?? native.defaults.poolMinCount,
      idleMs: config.poolIdleTimeoutMs ?? native.defaults.poolIdleTimeoutMs,
      connectMs: config.poolConnectionTimeoutMs ?? native.defaults.poolConnectionTimeoutMs,
    };
    pool.#number = await open(number => native.openPool(number, settings));
    return pool;
  }

  storeSettings() {
    return { pool: this.#number };
  }

  query(text, values) {
    const given = values.map(value => (value === null || value === undefined ? null : String(value)));
    return operate(number => native.queryPool(number, this.#number, text, given));
  }

  /** Rows are arrays, so the caller passes the names of the columns. */
  async queryNamed(text, values, columns) {
    const { rows, rowCount } = await this.query(text, values);
    return { rows: rows.map(row => Object.fromEntries(columns.map((name, i) => [name, row[i]]))), rowCount };
  }

  async end() {
    await operate(number => native.closePool(number, this.#number));
  }
}

async function initialized(db) {
  try {
    await db.initialize();
  } catch (error) {
    await Promise.resolve(db.close()).catch(() => {});
    throw error;
  }
}

/** Makes a signer on PostgreSQL, with its own connections or with a caller's pool. Checks the tables. */
export async function createHASigner(config, deps = {}) {
  if (!secretOf(config.databaseUrl) && !deps?.pool) throw new Error('databaseUrl is required for createHASigner');
  let pool = deps?.pool;
  try {
    pool ??= await OwnPool.open(config);
  } catch (error) {
    if (error instanceof HASignerError && error.code === 'incompatible') throw refusedDatabase(error.message);
    throw error;
  }
  const db = new PostgresSlashingProtectionDatabase(pool);
  await initialized(db);
  try {
    return { signer: new ValidatorHASigner(db, config, dependencies(config, deps)), db };
  } catch (error) {
    if (!deps?.pool) await db.close();
    throw error;
  }
}

/**
 * Makes a signer for a single machine, on an SQLite file in the data directory. Imports the history that the published
 * package has there, once, before it signs.
 */
export async function createLocalSignerWithProtection(config, deps = {}) {
  const directory = config.dataDirectory;
  if (!directory && !config.allowEphemeralSigningProtection) {
    throw new Error(
      'Local signing protection requires a persistent data directory: set DATA_DIRECTORY, or, where being slashed does ' +
        'not matter, VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION=true',
    );
  }
  const local = { ...config, haSigningEnabled: true, nodeId: config.nodeId || 'local' };
  signerSettings(local);
  if (directory) await mkdir(directory, { recursive: true, mode: 0o700 });
  const url = directory ? `sqlite:${join(directory, kDatabaseFile)}` : 'memory:';
  const nodeHistory = directory ? join(directory, kNodeHistory) : undefined;
  const db = await LocalSlashingProtectionDatabase.open({ url, nodeHistory, allowEphemeral: !directory });
  return { signer: new ValidatorHASigner(db, local, dependencies(local, deps)), db };
}

/** Makes a database in memory that the signers of one process share, as tests of several nodes do. */
export async function createSharedSlashingProtectionDb(dateProvider) {
  return new InMemorySlashingProtectionDatabase(dateProvider);
}

/** Makes a signer on a database that other signers share. */
export function createSignerFromSharedDb(db, config, deps = {}) {
  const shared = { ...config, haSigningEnabled: true, nodeId: config.nodeId || `shared-${randomUUID()}` };
  return { signer: new ValidatorHASigner(db, shared, dependencies(shared, deps)), db };
}

function dependencies(config, deps) {
  return {
    metrics: deps?.metrics ?? metricsOf(deps?.telemetryClient, config.nodeId),
    dateProvider: deps?.dateProvider,
  };
}

function metricsOf(telemetryClient, nodeId) {
  return typeof telemetryClient?.getMeter === 'function' ? new HASignerMetrics(telemetryClient, nodeId) : undefined;
}
