import type { Buffer32 } from '@aztec/foundation/buffer';
import type { EthAddress } from '@aztec/foundation/eth-address';
import type { Signature } from '@aztec/foundation/eth-signature';

import type { SignerConfig, ValidatorHASignerConfig } from './config.js';
import type { HAProtectedSigningContext, SignerDeps, SlashingProtectionDatabase } from './types.js';

/** Signs each duty at most once in the whole cluster. */
export declare class ValidatorHASigner {
  constructor(db: SlashingProtectionDatabase, config: ValidatorHASignerConfig | SignerConfig, deps?: SignerDeps);
  /**
   * Claims the duty, signs it and records the signature; only a recorded signature is returned.
   *
   * Errors: DutyAlreadySignedError, SlashingProtectionError, SigningLockLostError, whatever `signFn` fails with, HASignerError.
   */
  signWithProtection(
    validatorAddress: EthAddress,
    messageHash: Buffer32,
    context: HAProtectedSigningContext,
    signFn: (messageHash: Buffer32) => Promise<Signature>,
  ): Promise<Signature>;
  get nodeId(): string;
  /** Registers the node and starts the clean-up. Signing does it by itself if need be. */
  start(): Promise<void>;
  /** Finishes or refuses what is in flight, gives the node id back and closes the database. */
  stop(): Promise<void>;
}
