// A caller's own database object, which has the methods of the published package's class. The protocol runs in the core;
// this file calls the methods, with arguments of the types that they expect.

import { clearInterval, setInterval, setTimeout } from 'node:timers';

import { CoreSigner } from './core_signer.js';
import { native, nextNumber, onCall } from './core.js';
import { keepError, keepHash } from './failures.js';
import { isOlderConfig, retentionMs, signerSettings, stuckAgeMs } from './settings.js';
import { tell } from './tell.js';
import { addressLike, hexOf, wholeNumber } from './values.js';

const kRecordTries = 3;
const kShortestRoundMs = 100;
const kLongestRoundMs = 60_000;

const kHourMs = 3_600_000;

const kHash = /^0x[0-9a-fA-F]{64}$/;

const databases = new Map();

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/**
 * Whether each row has a deadline of its own (schema 3): databases of those releases have lost the method that deletes the
 * rows of other rollups, and their retention takes no age.
 */
function keepsDeadlines(db) {
  return db.cleanupOutdatedRollupDuties === undefined;
}

/** Names the holder of a row when the database does not show its token. */
function holderName(record) {
  return `${record.nodeId}`.slice(0, 40) + `@${Number(record.startedAt) || 0}`;
}

const methods = {
  async claim({ db, held, metrics, config }, key, [messageHash, nodeId, blockNumber, checkpointNumber]) {
    const checkpoint = wholeNumber(checkpointNumber);
    const retention = retentionMs(config);
    const { isNew, record } = await db.tryInsertOrGetExisting({
      ...key.identifier,
      blockNumber: wholeNumber(blockNumber),
      // Configs of the older shape come with databases that do not know checkpoints.
      ...(checkpoint || !isOlderConfig(config) ? { checkpointNumber: checkpoint } : {}),
      ...(retention !== undefined && !isOlderConfig(config) ? { retentionMs: retention } : {}),
      messageHash,
      nodeId,
    });
    if (isNew) {
      held.add(record.lockToken);
      tell(metrics, 'recordLockAcquire', true);
      // A database need not show what it has inserted: that is what it was given.
      return [true, 'signing', record.messageHash ?? messageHash, '', record.nodeId ?? nodeId, record.lockToken];
    }
    const { slot, dutyType } = key.identifier;
    if (!kHash.test(record.messageHash))
      keepHash({ nodeId: record.nodeId, slot, dutyType, blockIndex: key.blockIndex }, record.messageHash);
    return [false, record.status, record.messageHash, record.signature ?? '', record.nodeId, holderName(record)];
  },

  /** After an error, asks the database whether the row was recorded. */
  async record({ db, held }, key, [token, signature]) {
    const { rollupAddress, validatorAddress, slot, dutyType } = key.identifier;
    let failure;
    for (let tries = 1; tries <= kRecordTries; ++tries) {
      try {
        const recorded = await db.updateDutySigned(
          rollupAddress,
          validatorAddress,
          slot,
          dutyType,
          signature,
          token,
          key.blockIndex,
        );
        held.delete(token);
        return [recorded === true];
      } catch (error) {
        failure = error;
        await sleep(20 * tries);
      }
    }
    throw failure;
  },

  async release({ db, held }, key, [token]) {
    const { rollupAddress, validatorAddress, slot, dutyType } = key.identifier;
    const deleted = await db.deleteDuty(rollupAddress, validatorAddress, slot, dutyType, token, key.blockIndex);
    held.delete(token);
    return [deleted === true];
  },
};

function keyFrom([rollup, validator, slot, dutyType, blockIndex], originals) {
  const identifier = {
    rollupAddress: originals.get(rollup) ?? addressLike(undefined, rollup),
    validatorAddress: originals.get(validator) ?? addressLike(undefined, validator),
    slot: wholeNumber(slot),
    dutyType,
  };
  if (blockIndex >= 0) identifier.blockIndexWithinCheckpoint = blockIndex;
  return { identifier, blockIndex };
}

async function answer(number, [database, method, ...rest]) {
  try {
    const callers = databases.get(database);
    const key = keyFrom(rest.splice(0, 5), callers.originals);
    native.answerCall(number, '', ...(await methods[method](callers, key, rest)));
  } catch (error) {
    native.answerCall(number, keepError(error), false);
  }
}

// Drops an answer that comes when the thread of Node.js is ending.
onCall((number, question) => void answer(number, question).catch(() => {}));

export class CallersDatabase {
  #db;
  #config;
  #deps;
  #number = nextNumber();
  #held = new Set();
  #originals = new Map();
  #signers = new Map();
  #timer;
  #round;
  #lastRetention;
  #stopped = false;

  constructor(db, config, deps) {
    this.#db = db;
    this.#config = config;
    this.#deps = deps;
  }

  /** The signer that works on the database under this node id for this rollup. */
  signer(nodeId, rollup) {
    const name = `${nodeId} ${rollup}`;
    const known = this.#signers.get(name);
    if (known) return known;
    // A claim cannot be repeated here, so each is a batch of its own.
    const settings = {
      ...signerSettings({ ...this.#config, haSigningEnabled: true, nodeId, rollupAddress: rollup }),
      retentionHours: undefined,
      maxBatch: 1,
    };
    const open = () => {
      const store = nextNumber();
      native.openCallersStore(store, this.#number);
      return Promise.resolve(store);
    };
    const signer = new CoreSigner(open, settings, undefined);
    databases.set(this.#number, {
      db: this.#db,
      held: this.#held,
      originals: this.#originals,
      metrics: this.#deps.metrics,
      config: this.#config,
    });
    this.#signers.set(name, signer);
    return signer;
  }

  /** Remembers address objects of the caller's class, so that the caller's database gets the same objects. */
  remember(...addresses) {
    for (const address of addresses) {
      if (this.#originals.size > 10_000) this.#originals.clear();
      if (typeof address === 'object' && address) {
        addressLike(address, hexOf(address));
        this.#originals.set(hexOf(address).toLowerCase(), address);
      }
    }
  }

  /** Cleans up at once and then periodically, until stop(). */
  startCleanup() {
    if (this.#timer) return Promise.resolve();
    this.#stopped = false;
    const stuckAge = stuckAgeMs(this.#config);
    const pause = Math.min(Math.max(stuckAge, kShortestRoundMs), kLongestRoundMs);
    this.#round = this.#cleanUp(stuckAge);
    this.#timer = setInterval(() => {
      this.#round = this.#round.then(() => (this.#stopped ? undefined : this.#cleanUp(stuckAge)));
    }, pause);
    this.#timer.unref();
    return Promise.resolve();
  }

  #now() {
    return this.#deps.dateProvider?.now?.() ?? Date.now();
  }

  /** Rows of other rollups stay: another node may still be signing for them. An error waits for the next round. */
  async #cleanUp(stuckAge) {
    try {
      const held = this.#held.size > 0 ? [[...this.#held]] : [];
      const stuck = await this.#db.cleanupOwnStuckDuties(this.#config.nodeId, stuckAge, ...held);
      if (stuck > 0) tell(this.#deps.metrics, 'recordCleanup', 'stuck', stuck);
      const deadlines = keepsDeadlines(this.#db);
      const retention = deadlines ? kHourMs : retentionMs(this.#config);
      if (retention === undefined) return;
      const now = this.#now();
      if (this.#lastRetention !== undefined && now - this.#lastRetention < retention) return;
      this.#lastRetention = now;
      const old = await (deadlines ? this.#db.cleanupOldDuties() : this.#db.cleanupOldDuties(retention));
      if (old > 0) tell(this.#deps.metrics, 'recordCleanup', 'old', old);
    } catch {
      // The database reports the error again at the next signing.
    }
  }

  /** After that, the next call makes a new signer. */
  async stop() {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#round;
    const signers = [...this.#signers.values()];
    this.#signers.clear();
    await Promise.all(signers.map(signer => signer.stop()));
    if (this.#signers.size === 0) databases.delete(this.#number);
  }
}
