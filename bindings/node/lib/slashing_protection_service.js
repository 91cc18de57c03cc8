import { CallersDatabase } from './callers_database.js';
import { hexOf, rollupOf, textOfSignature } from './values.js';

/**
 * The steps of protection on their own. What happens between them is the caller's to get right: a signature must not be
 * released unless recordSuccess() has returned true.
 */
export class SlashingProtectionService {
  #db;
  #config;
  #database;
  #closed;

  constructor(db, config, deps = {}) {
    this.#db = db;
    this.#config = config;
    this.#database = new CallersDatabase(db, config, deps ?? {});
  }

  #signerFor(params, nodeId) {
    this.#database.remember(params.rollupAddress, params.validatorAddress);
    return this.#database.signer(nodeId ?? this.#config.nodeId, hexOf(params.rollupAddress ?? rollupOf(this.#config)));
  }

  /** Claims the duty: the lock token that recordSuccess() and deleteDuty() need. */
  async checkAndRecord(params) {
    return this.#signerFor(params, params.nodeId).checkAndRecord(params);
  }

  /** Records the signature. False: the duty was no longer held, so the signature must not be used. */
  async recordSuccess(params) {
    return this.#signerFor(params, params.nodeId).recordSuccess(params, textOfSignature(params.signature));
  }

  /** Gives the duty up. False: it was no longer held. */
  async deleteDuty(params) {
    return this.#signerFor(params).deleteDuty(params);
  }

  get nodeId() {
    return this.#config.nodeId;
  }

  /** Cleans up in the background. */
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
