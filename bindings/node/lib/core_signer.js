// A signer of the addon.

import { forgetNotices, native, nextNumber, onNotice, operate } from './core.js';
import { hexOf, numberOf } from './values.js';
import { HASignerError } from './errors.js';
import { importOfNode } from './installed_release.js';
import { tell } from './tell.js';
import { getBlockNumberFromSigningContext, getCheckpointNumberFromSigningContext } from './types.js';
import { inOptionNames } from './settings.js';

/**
 * A function that reads a recorded signature as the installed node's class Signature, and returns undefined when it is not
 * the validator's: over the hash itself, or over its EIP-191 digest.
 */
async function readerOfRecorded() {
  const [{ Signature }, { Buffer32 }, { makeEthSignDigest, recoverAddress }] = await Promise.all([
    importOfNode('foundation', './eth-signature'),
    importOfNode('foundation', './buffer'),
    importOfNode('foundation', './crypto/secp256k1-signer'),
  ]).catch(error => {
    throw new Error(`returnRecorded and checkSignatures check with the node's own code: ${error.message}`);
  });
  return (validator, hash, text) => {
    try {
      const signature = Signature.fromString(text);
      const message = Buffer32.fromString(hash);
      const isBy = digest => recoverAddress(digest, signature).toString().toLowerCase() === validator.toLowerCase();
      return isBy(message) || isBy(makeEthSignDigest(message)) ? signature : undefined;
    } catch {
      return undefined;
    }
  };
}

/** Stops signers that were garbage-collected, so that their node id is free again. */
const forgotten = new FinalizationRegistry(({ signer, store }) => {
  const drop = () => {
    native.dropSigner(signer);
    native.dropStore(store);
  };
  // This fails when the thread of Node.js is ending; then nothing has to be dropped.
  operate(number => native.stop(number, signer))
    .then(drop)
    .catch(() => {});
});

export class CoreSigner {
  #openStore;
  #settings;
  #metrics;
  #number;
  #store;
  #starting;
  #stopping;
  #recordedSignature;

  /** `openStore()` returns a promise of the number of a store. The signer owns the store, and closes it when it stops. */
  constructor(openStore, settings, metrics) {
    this.#openStore = openStore;
    this.#settings = settings;
    this.#metrics = metrics;
  }

  /** Starts once. The next call tries a failed start again. */
  start() {
    if (this.#stopping)
      return Promise.reject(new HASignerError('not_running', 'The signer was stopped; make a new one'));
    this.#starting ??= this.#startOnce().catch(error => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #startOnce() {
    if (this.#settings.checkSignatures || this.#settings.returnRecorded.length > 0)
      this.#recordedSignature = await readerOfRecorded();
    if (this.#number === undefined) {
      this.#store ??= await this.#openStore();
      const number = nextNumber();
      try {
        native.createSigner(number, this.#store, { ...this.#settings, wantsMetrics: this.#metrics !== undefined });
      } catch (error) {
        throw new Error(inOptionNames(error.message));
      }
      if (this.#metrics) onNotice(number, what => notifyMetrics(this.#metrics, what));
      forgotten.register(this, { signer: number, store: this.#store }, this);
      this.#number = number;
    }
    await operate(begun => native.start(begun, this.#number));
  }

  /** `onRecorded()` is called when the result is what another attempt recorded. */
  sign(validatorAddress, messageHash, context, signFn, onRecorded) {
    if (this.#isRunning()) return this.#signNow(validatorAddress, messageHash, context, signFn, onRecorded);
    return this.start().then(() => this.#signNow(validatorAddress, messageHash, context, signFn, onRecorded));
  }

  /** The recorded signature of a failure as an object; takes it out of the failure unless it is the validator's. */
  #genuine(failure, validatorAddress, messageHash) {
    if (failure.kind !== 'duty_already_signed' || !failure.signature) return undefined;
    const signature = this.#recordedSignature(hexOf(validatorAddress), hexOf(messageHash), failure.signature);
    if (signature === undefined) delete failure.signature;
    return signature;
  }

  /** What to do with a failure whose recorded signature is checked, and may be the result; undefined: nothing. */
  #recorded(validatorAddress, messageHash, dutyType, onRecorded) {
    const isReturned = this.#settings.returnRecorded.includes(dutyType);
    if (!isReturned && !this.#settings.checkSignatures) return undefined;
    return failure => {
      const signature = this.#genuine(failure, validatorAddress, messageHash);
      if (signature === undefined || !isReturned) return undefined;
      onRecorded?.();
      return signature;
    };
  }

  /** A claim of a caller never succeeds with the signature of another attempt. */
  #checked({ validatorAddress, messageHash }) {
    if (!this.#settings.checkSignatures) return undefined;
    return failure => void this.#genuine(failure, validatorAddress, messageHash);
  }

  #signNow(validatorAddress, messageHash, context, signFn, onRecorded) {
    const block = getBlockNumberFromSigningContext(context);
    const checkpoint = getCheckpointNumberFromSigningContext(context);
    const { slot, dutyType, blockIndexWithinCheckpoint } = context;
    return operate(
      number =>
        native.sign(
          number,
          this.#number,
          hexOf(validatorAddress),
          hexOf(messageHash),
          dutyType,
          numberOf(slot),
          numberOf(block),
          numberOf(checkpoint),
          indexOf(dutyType, blockIndexWithinCheckpoint),
        ),
      {
        slot,
        dutyType,
        signFn,
        message: messageHash,
        callTimeoutMs: this.#settings.signerCallTimeoutMs,
        recorded: this.#recorded(validatorAddress, messageHash, dutyType, onRecorded),
      },
    );
  }

  async checkAndRecord(params) {
    await this.start();
    const { slot, dutyType } = params;
    return operate(
      number =>
        native.checkAndRecord(
          number,
          this.#number,
          hexOf(params.validatorAddress),
          hexOf(params.messageHash),
          dutyType,
          numberOf(slot),
          numberOf(params.blockNumber),
          numberOf(params.checkpointNumber),
          indexOf(dutyType, params.blockIndexWithinCheckpoint),
        ),
      { slot, dutyType, recorded: this.#checked(params) },
    );
  }

  async recordSuccess(params, signature) {
    await this.start();
    const { slot, dutyType } = params;
    return operate(
      number => native.recordSuccess(number, this.#number, ...keyOf(params), params.lockToken, signature),
      { slot, dutyType },
    );
  }

  async deleteDuty(params) {
    await this.start();
    const { slot, dutyType } = params;
    return operate(number => native.deleteDuty(number, this.#number, ...keyOf(params), params.lockToken), {
      slot,
      dutyType,
    });
  }

  /** Stops within a bounded time. May be called twice, and before the start. */
  stop() {
    this.#stopping ??= this.#stopOnce();
    return this.#stopping;
  }

  async #stopOnce() {
    await this.#starting?.catch(() => {});
    const number = this.#number;
    if (number !== undefined) {
      forgotten.unregister(this);
      await operate(begun => native.stop(begun, number));
      native.dropSigner(number);
      forgetNotices(number);
    } else if (this.#store !== undefined) {
      await operate(begun => native.closeStore(begun, this.#store));
    }
    if (this.#store !== undefined) native.dropStore(this.#store);
  }

  #started = false;
  #isRunning() {
    // A start that was awaited once is not awaited again for every duty.
    if (!this.#started && this.#starting)
      this.#starting.then(
        () => (this.#started = true),
        () => {},
      );
    return this.#started && !this.#stopping;
  }
}

/** Like the published package, ignores the value for types that do not have it. */
function indexOf(dutyType, blockIndex) {
  return dutyType === 'BLOCK_PROPOSAL' ? blockIndex : undefined;
}

export function keyOf(params) {
  return [
    hexOf(params.rollupAddress),
    hexOf(params.validatorAddress),
    numberOf(params.slot),
    params.dutyType,
    indexOf(params.dutyType, params.blockIndexWithinCheckpoint),
  ];
}

function notifyMetrics(metrics, what) {
  if (what === 'lock') {
    tell(metrics, 'recordLockAcquire', true);
    return;
  }
  const [type, count] = what.split(':');
  tell(metrics, 'recordCleanup', type, Number(count));
}
