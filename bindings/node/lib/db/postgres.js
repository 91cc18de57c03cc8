import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers';

import { native } from '../core.js';
import { HASignerError } from '../errors.js';
import { publishedWords } from '../failures.js';
import { callersPool, failureOf, forgetPool, guardPool, runConfirmed } from '../pool.js';
import { declareOwn, kIncarnationOf, kStoreSettings } from '../stores.js';
import { addressLike, hexOf, numberOf, wholeNumber } from '../values.js';
import {
  CLEANUP_OUTDATED_ROLLUP_DUTIES,
  DELETE_DUTY,
  GET_SCHEMA_VERSION,
  SCHEMA_VERSION,
  UPDATE_DUTY_SIGNED,
  dutyColumns,
  insertOrGetDuty,
  kCleanupStuckButHeld,
  kRemoveExpired,
  kRemoveOlder,
} from './schema.js';
import { normalizeBlockIndex } from './types.js';

const kRetryPausesMs = [10, 20, 30];
const kNotInitialized =
  'Database schema not initialized. Please run migrations first: aztec migrate-ha-db up --database-url <url>';
const kUndefinedTable = '42P01';

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** A lock token of the kind *handed out*: 16 digits, the kind 02, 14 digits. */
function handedOutToken() {
  const digits = randomBytes(15).toString('hex');
  return `${digits.slice(0, 16)}02${digits.slice(16)}`;
}

function check(problem) {
  if (problem) throw new HASignerError('invalid_input', problem);
}

function dateOf(value) {
  if (value === null || value === undefined || value === '') return undefined;
  if (value instanceof Date) return value;
  const [, day, time, zone] = /^(\S+)[ T]([\d:.]+)(.*)$/.exec(value) ?? [];
  return new Date(`${day}T${time}${/^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone || 'Z'}`);
}

/** A row of the table, by its columns, as the published package shows it; with addresses of the class of those asked for. */
export function recordOf(row, { rollupAddress, validatorAddress }) {
  return {
    rollupAddress: addressLike(rollupAddress, row.rollup_address),
    validatorAddress: addressLike(validatorAddress, row.validator_address),
    slot: wholeNumber(row.slot),
    blockNumber: wholeNumber(row.block_number),
    ...(row.checkpoint_number === undefined ? {} : { checkpointNumber: wholeNumber(row.checkpoint_number) }),
    blockIndexWithinCheckpoint: Number(row.block_index_within_checkpoint),
    dutyType: row.duty_type,
    status: row.status,
    messageHash: row.message_hash,
    signature: row.signature || undefined,
    nodeId: row.node_id,
    lockToken: row.lock_token,
    startedAt: dateOf(row.started_at),
    completedAt: dateOf(row.completed_at),
    errorMessage: row.error_message || undefined,
  };
}

/** Protection on PostgreSQL through a caller's pool: any object with `query(text, values)` and `end()`. */
export class PostgresSlashingProtectionDatabase {
  #pool;
  /** Until initialize() has looked, that of SCHEMA_SETUP. */
  #version = SCHEMA_VERSION;
  #incarnations = new Map();
  #closing;

  constructor(pool) {
    this.#pool = pool;
    guardPool(pool);
  }

  /** The arguments with which the core opens a store on this database. */
  async [kStoreSettings]() {
    return this.#pool.storeSettings?.() ?? callersPool(this.#pool);
  }

  /** Signers that share this object and a node id are one node. */
  [kIncarnationOf](nodeId) {
    if (!this.#incarnations.has(nodeId)) this.#incarnations.set(nodeId, `0x${randomBytes(8).toString('hex')}`);
    return this.#incarnations.get(nodeId);
  }

  /** Checks that the tables are there and of a version that this package knows. Errors: what is wrong. */
  async initialize() {
    const version = await this.#readVersion();
    const { rows } = await this.#query(native.checkSession(), []);
    const row = rows[0] && Object.values(rows[0]);
    if (!row) throw new Error(kNotInitialized);
    const shape = shapeOf(row);
    const refusal = native.checkSession([row.map(textOf)]);
    if (shape && version < shape) {
      throw new Error(
        `Database schema version ${version} is outdated (expected ${shape}). Please run migrations: aztec migrate-ha-db up --database-url <url>`,
      );
    }
    if (shape && version > shape) {
      throw new Error(
        `Database schema version ${version} is newer than expected (${shape}). Please update your application.`,
      );
    }
    if (refusal) throw refusedDatabase(refusal);
    this.#version = version;
  }

  async #readVersion() {
    let found;
    try {
      found = await this.#query(GET_SCHEMA_VERSION, [], ['version']);
    } catch (error) {
      if (failureOf(error).code === kUndefinedTable) throw new Error(kNotInitialized, { cause: error });
      throw error;
    }
    if (found.rows.length === 0) throw new Error(kNotInitialized);
    return Number(found.rows[0].version);
  }

  #query(text, values, columns) {
    return columns && this.#pool.queryNamed
      ? this.#pool.queryNamed(text, values, columns)
      : this.#pool.query(text, values);
  }

  /** Runs a statement. Returns how many rows it changed, once the commit is as durable as the server promises. */
  async #confirmed(text, values) {
    if (!this.#pool.storeSettings) return runConfirmed(this.#pool, text, values);
    const { rowCount } = await this.#pool.query(text, values);
    return rowCount;
  }

  /** Claims the duty, or returns the existing row. The lock token is empty unless the caller holds the row. */
  async tryInsertOrGetExisting(params) {
    const { dutyType, nodeId } = params;
    const index = normalizeBlockIndex(dutyType, params.blockIndexWithinCheckpoint);
    const key = [hexOf(params.rollupAddress), hexOf(params.validatorAddress), numberOf(params.slot), dutyType, index];
    const hash = hexOf(params.messageHash);
    check(native.checkDuty(...key, hash, nodeId, numberOf(params.blockNumber), numberOf(params.checkpointNumber)));
    const token = handedOutToken();
    const values = [key[0], key[1], String(key[2]), String(params.blockNumber ?? 0)];
    if (this.#version >= 2) values.push(String(params.checkpointNumber ?? 0));
    values.push(index, dutyType, hash, nodeId, token);
    if (this.#version >= 3) values.push(retentionOf(params));
    const row = await this.#insertOrGet(values);
    return { isNew: isTrue(row.is_new), record: recordOf(row, params) };
  }

  /** Tries again: the statement can miss a row that is just being committed. It recognises its own row after a lost reply. */
  async #insertOrGet(values) {
    for (let tries = 0; ; ++tries) {
      let failure = new Error('INSERT_OR_GET_DUTY returned no rows');
      try {
        const { rows } = await this.#query(insertOrGetDuty(this.#version), values, dutyColumns(this.#version));
        if (rows.length === 1) return rows[0];
        if (rows.length > 1) {
          throw Object.assign(new Error(`INSERT_OR_GET_DUTY returned ${rows.length} rows (expected exactly 1).`), {
            isFinal: true,
          });
        }
      } catch (error) {
        if (error.isFinal || failureOf(error).kind === 'server') throw error;
        failure = error;
      }
      if (tries >= kRetryPausesMs.length) throw failure;
      await sleep(kRetryPausesMs[tries]);
    }
  }

  /** Records the signature. Returns false when the duty is not held under this token, or a watermark forbids it. */
  async updateDutySigned(
    rollupAddress,
    validatorAddress,
    slot,
    dutyType,
    signature,
    lockToken,
    blockIndexWithinCheckpoint,
  ) {
    const values = [
      signature,
      hexOf(rollupAddress),
      hexOf(validatorAddress),
      String(slot),
      dutyType,
      blockIndexWithinCheckpoint,
      lockToken,
    ];
    return (await this.#confirmed(UPDATE_DUTY_SIGNED, values)) > 0;
  }

  /** Releases the duty. Returns false when it is not held under this token. */
  async deleteDuty(rollupAddress, validatorAddress, slot, dutyType, lockToken, blockIndexWithinCheckpoint) {
    const values = [
      hexOf(rollupAddress),
      hexOf(validatorAddress),
      String(slot),
      dutyType,
      blockIndexWithinCheckpoint,
      lockToken,
    ];
    const { rowCount } = await this.#query(DELETE_DUTY, values);
    return rowCount > 0;
  }

  /** Deletes duties that this node has been signing for longer than that, except held duties. Returns how many. */
  async cleanupOwnStuckDuties(nodeId, maxAgeMs, heldLockTokens = []) {
    const held = `{${heldLockTokens.map(token => JSON.stringify(String(token))).join(',')}}`;
    const { rowCount } = await this.#query(kCleanupStuckButHeld, [nodeId, String(maxAgeMs), held]);
    return rowCount ?? 0;
  }

  /** Deletes the duties of every other rollup. Returns how many. Signers of this package never call it. */
  async cleanupOutdatedRollupDuties(currentRollupAddress) {
    const { rowCount } = await this.#query(CLEANUP_OUTDATED_ROLLUP_DUTIES, [hexOf(currentRollupAddress)]);
    return rowCount ?? 0;
  }

  /**
   * Deletes signed duties that are older than that; without an age, duties whose own deadline has passed, which only tables
   * of version 3 have. Returns how many. Watermarks keep the slots of signed duties closed.
   */
  async cleanupOldDuties(maxAgeMs) {
    if (maxAgeMs === undefined && this.#version < 3) return 0;
    const { rowCount } =
      maxAgeMs === undefined
        ? await this.#query(kRemoveExpired, [])
        : await this.#query(kRemoveOlder, [String(maxAgeMs)]);
    return rowCount ?? 0;
  }

  /**
   * Ends the pool. May be called twice. The documents of the published package tell callers to end the pool themselves
   * afterwards; that has no effect then.
   */
  async close() {
    this.#closing ??= this.#endPool();
    await this.#closing;
  }

  #endPool() {
    const pool = this.#pool;
    const ended = Promise.resolve(pool.end());
    forgetPool(pool);
    if (typeof pool.totalCount === 'number') pool.end = () => ended;
    return ended;
  }
}

declareOwn(PostgresSlashingProtectionDatabase, [
  'tryInsertOrGetExisting',
  'updateDutySigned',
  'deleteDuty',
  'cleanupOwnStuckDuties',
  'cleanupOutdatedRollupDuties',
  'cleanupOldDuties',
  'close',
]);

/** The retention of a new row as a parameter; null: the row stays. */
function retentionOf({ retentionMs }) {
  if (retentionMs === undefined || retentionMs === null) return null;
  if (!Number.isFinite(Number(retentionMs)) || retentionMs < 0)
    throw new HASignerError(
      'invalid_input',
      `retentionMs is ${retentionMs}; it must be a number of milliseconds, at least 0`,
    );
  return String(retentionMs);
}

function isTrue(value) {
  return value === true || value === 't';
}

function textOf(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return String(value);
}

/** The schema version that the columns of the table show; they are in the fifth column of the session check. */
function shapeOf(row) {
  const columns = String(row[4] ?? '').split(',');
  if (!columns.includes('rollup_address')) return 0;
  if (columns.includes('expires_at')) return 3;
  return columns.includes('checkpoint_number') ? 2 : 1;
}

/** The cause, after the published package's sentence when migrations help. */
export function refusedDatabase(refusal) {
  const words = publishedWords(refusal);
  const mended = words.includes('aztec migrate-ha-db up');
  return new Error(mended ? `${kNotInitialized} (${words})` : words);
}
