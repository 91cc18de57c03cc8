// The database of a single node of 5.x, on a key-value store that the caller has opened. createLocalSignerWithProtection()
// of this package does not use it: it keeps its rows in SQLite.

import { randomBytes } from 'node:crypto';

import { HASignerError } from '../errors.js';
import { importOfNode } from '../installed_release.js';
import { addressLike, hexOf } from '../values.js';
import { recordFromFields } from './stored_record.js';
import { DutyStatus, normalizeBlockIndex } from './types.js';

const kMap = 'signing-protection-duties';
/** Of this package: the highest slot of a removed signed duty, by rollup, validator and duty type. */
const kWatermarks = 'ha-signer-watermarks';
const kVersion = 3;
const kKeptAtMigrationMs = 30 * 24 * 3_600_000;

const keyOf = (rollup, validator, slot, dutyType, index) =>
  [hexOf(rollup).toLowerCase(), hexOf(validator).toLowerCase(), slot, dutyType, index].join(':');

const watermarkOf = ({ rollupAddress, validatorAddress, dutyType }) =>
  [rollupAddress, validatorAddress, dutyType].join(':').toLowerCase();

/** `store` is a key-value store of the node: openMap(), transactionAsync(), close(). Its transactions are its own. */
export class LmdbSlashingProtectionDatabase {
  static SCHEMA_VERSION = kVersion;
  #store;
  #duties;
  #watermarks;
  #dateProvider;

  constructor(store, dateProvider = Date) {
    this.#store = store;
    this.#duties = store.openMap(kMap);
    this.#watermarks = store.openMap(kWatermarks);
    this.#dateProvider = dateProvider;
  }

  async tryInsertOrGetExisting(params) {
    const { rollupAddress, validatorAddress, slot, dutyType, retentionMs } = params;
    const index = normalizeBlockIndex(dutyType, params.blockIndexWithinCheckpoint);
    const key = keyOf(rollupAddress, validatorAddress, slot, dutyType, index);
    const now = this.#dateProvider.now();
    const claimed = {
      rollupAddress: hexOf(rollupAddress).toLowerCase(),
      validatorAddress: hexOf(validatorAddress).toLowerCase(),
      slot: String(slot),
      blockNumber: String(params.blockNumber ?? 0),
      checkpointNumber: String(params.checkpointNumber ?? 0),
      blockIndexWithinCheckpoint: index,
      dutyType,
      status: DutyStatus.SIGNING,
      messageHash: hexOf(params.messageHash),
      nodeId: params.nodeId,
      lockToken: randomBytes(16).toString('hex'),
      startedAtMs: now,
      expiresAtMs: retentionMs === undefined ? undefined : now + retentionMs,
    };
    const existing = await this.#store.transactionAsync(async () => {
      const found = await this.#duties.getAsync(key);
      if (found) return found;
      const low = await this.#watermarks.getAsync(watermarkOf(claimed));
      if (low !== undefined && BigInt(claimed.slot) <= BigInt(low))
        throw new HASignerError(
          'outside_watermark',
          `slot ${slot} is not above ${low}, up to which duties were removed`,
        );
      await this.#duties.set(key, claimed);
      return undefined;
    });
    addressLike(rollupAddress, claimed.rollupAddress);
    return { isNew: !existing, record: recordFromFields(existing ? { ...existing, lockToken: '' } : claimed) };
  }

  updateDutySigned(rollup, validator, slot, dutyType, signature, lockToken, index) {
    return this.#ifHeld(keyOf(rollup, validator, slot, dutyType, index), lockToken, (key, held) =>
      this.#duties.set(key, { ...held, status: DutyStatus.SIGNED, signature, completedAtMs: this.#dateProvider.now() }),
    );
  }

  deleteDuty(rollup, validator, slot, dutyType, lockToken, index) {
    return this.#ifHeld(keyOf(rollup, validator, slot, dutyType, index), lockToken, key => this.#duties.delete(key));
  }

  #ifHeld(key, lockToken, change) {
    return this.#store.transactionAsync(async () => {
      const found = await this.#duties.getAsync(key);
      if (found?.lockToken !== lockToken || found.status !== DutyStatus.SIGNING) return false;
      await change(key, found);
      return true;
    });
  }

  cleanupOwnStuckDuties(nodeId, maxAgeMs, heldLockTokens = []) {
    const before = this.#dateProvider.now() - maxAgeMs;
    return this.#remove(
      duty =>
        duty.nodeId === nodeId &&
        duty.status === DutyStatus.SIGNING &&
        duty.startedAtMs < before &&
        !heldLockTokens.includes(duty.lockToken),
    );
  }

  /** Deletes the duties whose own deadline has passed. The slots of signed ones stay closed. */
  cleanupOldDuties() {
    const now = this.#dateProvider.now();
    return this.#remove(duty => duty.expiresAtMs !== undefined && duty.expiresAtMs <= now);
  }

  #remove(isOver) {
    return this.#store.transactionAsync(async () => {
      const over = [];
      for await (const [key, duty] of this.#duties.entriesAsync()) if (isOver(duty)) over.push([key, duty]);
      for (const [key, duty] of over) {
        if (duty.status === DutyStatus.SIGNED) await this.#raiseWatermark(duty);
        await this.#duties.delete(key);
      }
      return over.length;
    });
  }

  async #raiseWatermark(duty) {
    const key = watermarkOf(duty);
    const low = await this.#watermarks.getAsync(key);
    if (low === undefined || BigInt(low) < BigInt(duty.slot)) await this.#watermarks.set(key, duty.slot);
  }

  async close() {
    await this.#store.close();
  }
}

/** Brings a node's own store from schema 1 or 2 to 3, by the key-value store of the installed release. */
export async function migrateLmdbSlashingProtectionDatabase(dataDirectory, currentVersion, latestVersion, mapSizeKb) {
  if (![1, 2].includes(currentVersion) || latestVersion !== kVersion)
    throw new Error(`Unsupported LMDB slashing-protection migration ${currentVersion} -> ${latestVersion}`);
  const { openStoreAt } = await importOfNode('kv-store', './lmdb-v2');
  const store = await openStoreAt(dataDirectory, mapSizeKb);
  try {
    const duties = store.openMap(kMap);
    const expiresAtMs = Date.now() + kKeptAtMigrationMs;
    const migrated = [];
    for await (const [key, duty] of duties.entriesAsync())
      migrated.push({ key, value: { checkpointNumber: '0', ...duty, expiresAtMs: duty.expiresAtMs ?? expiresAtMs } });
    if (migrated.length > 0) await duties.setMany(migrated);
  } finally {
    await store.close();
  }
}
