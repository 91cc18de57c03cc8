import type { ConfigMappingsType, EthAddress } from './aztec.js';
import type { DutyType } from './types.js';
import { z } from 'zod';

/** The settings of a signer, as the published package 4.1.2 names them. Times in ms. */
export interface ValidatorHASignerConfig {
  haSigningEnabled: boolean;
  l1Contracts: { rollupAddress: EthAddress };
  /** The stable name of this node, unique in its cluster. */
  nodeId: string;
  /** The longest pause between two looks at a duty that another node is signing. */
  pollingIntervalMs: number;
  /** How long to wait for another node that is signing the duty. */
  signingTimeoutMs: number;
  /** Age at which a duty that is still being signed counts as stuck (default 144000). */
  maxStuckDutiesAgeMs?: number;
  /** Retention (default: signed duties are never deleted). */
  cleanupOldDutiesAfterHours?: number;
  /** `postgresql://user:password@host:port/database` */
  databaseUrl?: string;
  /** The most connections at once (default 10). */
  poolMaxCount?: number;
  /** Idle connections to keep (default 0). */
  poolMinCount?: number;
  /** Time after which an idle connection is closed (default 10000). */
  poolIdleTimeoutMs?: number;
  /** The longest wait for a connection (default 0: no limit of its own). */
  poolConnectionTimeoutMs?: number;
}

/** The settings as newer releases name them, and settings of this package only. */
export interface SignerConfig extends Omit<
  ValidatorHASignerConfig,
  'haSigningEnabled' | 'l1Contracts' | 'signingTimeoutMs' | 'databaseUrl'
> {
  haSigningEnabled?: boolean;
  rollupAddress?: EthAddress | string;
  l1Contracts?: { rollupAddress: EthAddress };
  peerSigningTimeoutMs?: number;
  signingTimeoutMs?: number;
  /** Bound on one call of the sign function (default 30000; never more than half the stuck-duty age). */
  signerCallTimeoutMs?: number;
  signingOperationTimeoutMs?: number;
  /**
   * The sign function is called before the duty is claimed (default false): one round trip to the database instead of
   * two. It must have no effect outside of the process: it is also called for duties that another node wins, and its
   * signature is then destroyed.
   */
  signFirst?: boolean;
  /**
   * Duty types for which a duty that another node has signed with the same data gives the recorded signature instead of
   * DutyAlreadySignedError (default none): an object of the installed node's class Signature. It is confirmed in the
   * database, and checked by the node's own code to be the validator's.
   */
  returnRecorded?: readonly DutyType[];
  /**
   * DutyAlreadySignedError carries a recorded signature only if the node's own code finds that it is the validator's, over
   * the hash itself or over its EIP-191 form (default false, since the signatures of a sign function may be of any kind).
   */
  checkSignatures?: boolean;
  /**
   * The storage below PostgreSQL replicates each commit before it is confirmed, so that no failover loses one (Amazon Aurora
   * and the like): the server need not tell its timeline. Default: the variable HA_SIGNER_STORAGE_REPLICATES, else false.
   */
  storageReplicates?: boolean;
  /** Bound on the whole attempt (default 60000). */
  attemptTimeoutMs?: number;
  /**
   * How long this node waits, from when it is first asked for a duty, before it signs or claims it: above 0 it leaves duties to
   * nodes that wait less. At most 10000. Default: the variable VALIDATOR_HA_CLAIM_DELAY_MS, else 0.
   */
  claimDelayMs?: number;
  /** Validators whose duties `claimDelayMs` does not hold back. Default: the variable HA_SIGNER_PREFERRED_VALIDATORS, else none. */
  preferredValidators?: readonly (EthAddress | string)[];
  /** The URL, or an object that keeps it secret. */
  databaseUrl?: string | { getValue(): string | undefined };
}

/** The settings of a signer for a single machine. */
export interface LocalSignerConfig extends Omit<SignerConfig, 'nodeId'> {
  /** Default `local`. */
  nodeId?: string;
  /** The directory of the SQLite file. */
  dataDirectory?: string;
  /** Without a data directory: keeps the protection in memory. Only for tests, since the validator can be slashed. */
  allowEphemeralSigningProtection?: boolean;
}

/** The settings of a signer that shares a database with other signers of the process. A node id is made when none is given. */
export type SharedSignerConfig = Partial<SignerConfig>;

export declare const validatorHASignerConfigMappings: ConfigMappingsType<ValidatorHASignerConfig>;

/** The defaults. */
export declare const defaultValidatorHASignerConfig: ValidatorHASignerConfig;

/** The config from environment variables, with defaults for variables that are not set. */
export declare function getConfigEnvVars(): ValidatorHASignerConfig;

export declare const ValidatorHASignerConfigSchema: z.ZodObject<{
  haSigningEnabled: z.ZodBoolean;
  l1Contracts: z.ZodObject<{ rollupAddress: z.ZodType<EthAddress> }>;
  nodeId: z.ZodString;
  pollingIntervalMs: z.ZodNumber;
  signingTimeoutMs: z.ZodNumber;
  maxStuckDutiesAgeMs: z.ZodOptional<z.ZodNumber>;
  cleanupOldDutiesAfterHours: z.ZodOptional<z.ZodNumber>;
  databaseUrl: z.ZodOptional<z.ZodString>;
  poolMaxCount: z.ZodOptional<z.ZodNumber>;
  poolMinCount: z.ZodOptional<z.ZodNumber>;
  poolIdleTimeoutMs: z.ZodOptional<z.ZodNumber>;
  poolConnectionTimeoutMs: z.ZodOptional<z.ZodNumber>;
}>;
