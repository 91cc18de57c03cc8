import { CallersDatabase } from './callers_database.js';
import { DutyAlreadySignedError, SlashingProtectionError } from './errors.js';
import { kDefaultStuckAgeMs } from './settings.js';
import { tell } from './tell.js';
import { hexOf, rollupOf, textOfSignature } from './values.js';

/** Age at which a duty that is still being signed counts as stuck. */
export const DEFAULT_MAX_STUCK_DUTIES_AGE_MS = kDefaultStuckAgeMs;

/**
 * The single steps of protection. The caller must use them correctly: it must not release a signature unless
 * recordSuccess() has returned true.
 */
export class SlashingProtectionService {
  #db;
  #config;
  #database;
  #metrics;
  #closed;

  constructor(db, config, deps = {}) {
    this.#db = db;
    this.#config = config;
    this.#metrics = deps?.metrics;
    this.#database = new CallersDatabase(db, config, deps ?? {});
  }

  #signerFor(params, nodeId) {
    this.#database.remember(params.rollupAddress, params.validatorAddress);
    return this.#database.signer(nodeId ?? this.#config.nodeId, hexOf(params.rollupAddress ?? rollupOf(this.#config)));
  }

  /** Claims the duty. Returns the lock token for recordSuccess() and deleteDuty(). */
  async checkAndRecord(params) {
    try {
      return await this.#signerFor(params, params.nodeId).checkAndRecord(params);
    } catch (error) {
      if (error instanceof DutyAlreadySignedError) tell(this.#metrics, 'recordDutyAlreadySigned', params.dutyType);
      if (error instanceof SlashingProtectionError) tell(this.#metrics, 'recordSlashingProtection', params.dutyType);
      throw error;
    }
  }

  /** Records the signature. Returns false when the duty was no longer held; the signature must not be used then. */
  async recordSuccess(params) {
    return this.#signerFor(params, params.nodeId).recordSuccess(params, textOfSignature(params.signature));
  }

  /** Releases the duty. Returns false when it was no longer held. */
  async deleteDuty(params) {
    return this.#signerFor(params).deleteDuty(params);
  }

  get nodeId() {
    return this.#config.nodeId;
  }

  /** Starts the clean-up in the background. */
  async start() {
    await this.#database.startCleanup();
  }

  async stop() {
    await this.#database.stop();
  }

  async close() {
    this.#closed ??= Promise.resolve(this.#db.close());
    await this.#closed;
  }
}
