import { CallersDatabase } from './callers_database.js';
import { CoreSigner } from './core_signer.js';
import { DutyAlreadySignedError, HASignerError, SlashingProtectionError } from './errors.js';
import { signerSettings } from './settings.js';
import { isWithin, kIncarnationOf, openStoreOf } from './stores.js';
import { tell } from './tell.js';
import { rollupOf } from './values.js';

function nameOf(error) {
  if (error instanceof DutyAlreadySignedError) return 'recordDutyAlreadySigned';
  if (error instanceof SlashingProtectionError) return 'recordSlashingProtection';
  return 'recordSigningError';
}

/**
 * Signs each duty at most once in the whole cluster.
 *
 * With a database object of this package whose methods were not replaced, the core works on the tables directly. With any
 * other object it calls the methods of the object.
 */
export class ValidatorHASigner {
  #db;
  #config;
  #settings;
  #deps;
  #direct;
  #callers;
  #started = false;
  #stopping;

  constructor(db, config, deps = {}) {
    this.#db = db;
    this.#config = config;
    this.#settings = signerSettings(config);
    this.#deps = deps ?? {};
    if (isWithin(db))
      this.#direct = new CoreSigner(() => openStoreOf(db, this.#settings), this.#directSettings(), this.#deps.metrics);
  }

  #directSettings() {
    const incarnation = this.#db[kIncarnationOf]?.(this.#settings.nodeId);
    return { ...this.#settings, incarnation };
  }

  /** Decides for every duty again: a caller may watch or replace a method at any time. */
  #signer() {
    if (this.#direct && isWithin(this.#db)) return this.#direct;
    return this.#callersSigner();
  }

  #callersSigner() {
    if (this.#stopping) throw new HASignerError('not_running', 'The signer was stopped; make a new one');
    this.#callers ??= new CallersDatabase(this.#db, this.#config, this.#deps);
    return this.#callers.signer(this.#settings.nodeId, this.#settings.rollup);
  }

  signWithProtection(validatorAddress, messageHash, context, signFn) {
    // Not an async function: each additional promise costs every duty some microseconds.
    try {
      const signer = this.#signer();
      if (signer !== this.#direct) this.#callers.remember(rollupOf(this.#config), validatorAddress);
      const metrics = this.#deps.metrics;
      if (!metrics) return signer.sign(validatorAddress, messageHash, context, signFn);
      return this.#signMeasured(signer, metrics, validatorAddress, messageHash, context, signFn);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #signMeasured(signer, metrics, validatorAddress, messageHash, context, signFn) {
    const now = () => this.#deps.dateProvider?.now?.() ?? Date.now();
    const startedAt = now();
    try {
      let isRecorded = false;
      const onRecorded = () => (isRecorded = true);
      const signature = await signer.sign(validatorAddress, messageHash, context, signFn, onRecorded);
      if (isRecorded) tell(metrics, 'recordRecordedReturned', context.dutyType);
      else tell(metrics, 'recordSigningSuccess', context.dutyType, now() - startedAt);
      return signature;
    } catch (error) {
      tell(metrics, nameOf(error), context.dutyType);
      throw error;
    }
  }

  get nodeId() {
    return this.#settings.nodeId;
  }

  /** Registers the node and starts the clean-up in the background. Signing also does so when needed. */
  async start() {
    if (this.#started) return;
    if (this.#direct && isWithin(this.#db)) {
      await this.#direct.start();
    } else {
      this.#callersSigner();
      await this.#callers.startCleanup();
    }
    this.#started = true;
  }

  /** Finishes or refuses attempts in flight, ends the lease of the node id and closes the database. */
  async stop() {
    this.#stopping ??= this.#stopOnce();
    await this.#stopping;
  }

  async #stopOnce() {
    await this.#direct?.stop();
    await this.#callers?.stop();
    await this.#db.close();
  }
}
