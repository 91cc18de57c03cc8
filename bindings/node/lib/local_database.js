// The methods of the published class on a store of the core: SQLite, or memory.

import { native, operate } from './core.js';
import { keyOf } from './core_signer.js';
import { recordOf } from './db/postgres.js';
import { normalizeBlockIndex } from './db/types.js';
import { declareOwn, kStoreSettings } from './stores.js';
import { hexOf, numberOf } from './values.js';

const kMethods = [
  'tryInsertOrGetExisting',
  'updateDutySigned',
  'deleteDuty',
  'cleanupOwnStuckDuties',
  'cleanupOutdatedRollupDuties',
  'cleanupOldDuties',
  'close',
];

export class LocalSlashingProtectionDatabase {
  #store;
  #settings;
  #closing;

  static async open(settings) {
    const db = new LocalSlashingProtectionDatabase();
    db.#settings = settings;
    const imported = await operate(number => {
      db.#store = number;
      native.openStore(number, settings);
    });
    if (imported) console.warn(`ha-signer: ${imported}`);
    return db;
  }

  /** A store in memory cannot be opened twice, so signers share the open one. */
  [kStoreSettings]() {
    return this.#settings.url === 'memory:' ? { store: this.#store } : this.#settings;
  }

  async initialize() {}

  async tryInsertOrGetExisting(params) {
    normalizeBlockIndex(params.dutyType, params.blockIndexWithinCheckpoint);
    const { isNew, row } = await this.#ask(
      'tryInsert',
      ...keyOf(params),
      hexOf(params.messageHash),
      params.nodeId,
      numberOf(params.blockNumber),
      numberOf(params.checkpointNumber),
    );
    const record = recordOf(row, params);
    return { isNew, record: isNew ? record : { ...record, lockToken: '' } };
  }

  updateDutySigned(rollupAddress, validatorAddress, slot, dutyType, signature, lockToken, blockIndexWithinCheckpoint) {
    const key = keyOf({ rollupAddress, validatorAddress, slot, dutyType, blockIndexWithinCheckpoint });
    return this.#ask('updateSigned', ...key, lockToken, signature);
  }

  deleteDuty(rollupAddress, validatorAddress, slot, dutyType, lockToken, blockIndexWithinCheckpoint) {
    const key = keyOf({ rollupAddress, validatorAddress, slot, dutyType, blockIndexWithinCheckpoint });
    return this.#ask('releaseDuty', ...key, lockToken);
  }

  cleanupOwnStuckDuties(nodeId, maxAgeMs) {
    return this.#ask('removeDuties', 'stuck', nodeId, '', Math.ceil(maxAgeMs));
  }

  cleanupOutdatedRollupDuties(currentRollupAddress) {
    return this.#ask('removeDuties', 'rollups', '', hexOf(currentRollupAddress), 0);
  }

  cleanupOldDuties(maxAgeMs) {
    return this.#ask('removeDuties', 'old', '', '', Math.ceil(maxAgeMs));
  }

  async close() {
    this.#closing ??= this.#closeOnce();
    await this.#closing;
  }

  async #closeOnce() {
    try {
      await operate(number => native.closeStore(number, this.#store));
    } catch {
      // A signer closes its store in memory when it stops.
    }
  }

  #ask(method, ...args) {
    return operate(number => native[method](number, this.#store, ...args));
  }
}

declareOwn(LocalSlashingProtectionDatabase, kMethods);
