import type { Buffer32, EthAddress, Signature } from './aztec.js';

import type { SignerConfig, ValidatorHASignerConfig } from './config.js';
import type { HAProtectedSigningContext, SignerDeps, SlashingProtectionDatabase } from './types.js';

/** Signs each duty at most once in the whole cluster. */
export declare class ValidatorHASigner {
  constructor(db: SlashingProtectionDatabase, config: ValidatorHASignerConfig | SignerConfig, deps?: SignerDeps);
  /**
   * Claims the duty, signs it and records the signature. Returns only a recorded signature.
   *
   * Errors: DutyAlreadySignedError, SlashingProtectionError, SigningLockLostError, HASignerError, and the error of `signFn`.
   */
  signWithProtection(
    validatorAddress: EthAddress,
    messageHash: Buffer32,
    context: HAProtectedSigningContext,
    signFn: (messageHash: Buffer32) => Promise<Signature>,
  ): Promise<Signature>;
  get nodeId(): string;
  /** Registers the node and starts the clean-up. Signing also does so when needed. */
  start(): Promise<void>;
  /** Finishes or refuses attempts in flight, ends the lease of the node id and closes the database. */
  stop(): Promise<void>;
}
