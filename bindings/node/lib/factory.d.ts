import type { LocalSignerConfig, SharedSignerConfig, SignerConfig, ValidatorHASignerConfig } from './config.js';
import type {
  CreateHASignerDeps,
  CreateLocalSignerWithProtectionDeps,
  OwnSlashingProtectionDatabase,
  SlashingProtectionDatabase,
} from './types.js';
import { ValidatorHASigner } from './validator_ha_signer.js';

/** Makes a signer on PostgreSQL, with its own connections or with a caller's pool. Checks the tables, which migrations make. */
export declare function createHASigner(
  config: ValidatorHASignerConfig | SignerConfig,
  deps?: CreateHASignerDeps,
): Promise<{ signer: ValidatorHASigner; db: OwnSlashingProtectionDatabase }>;

/**
 * Makes a signer for a single machine, on an SQLite file in the data directory. Imports the history that the published
 * package has there, once, before it signs, and says so; rejects if it cannot be read, or if a node works on it.
 */
export declare function createLocalSignerWithProtection(
  config: LocalSignerConfig,
  deps?: CreateLocalSignerWithProtectionDeps,
): Promise<{ signer: ValidatorHASigner; db: OwnSlashingProtectionDatabase }>;

/** Makes a database in memory that the signers of one process share, as tests of several nodes do. */
export declare function createSharedSlashingProtectionDb(dateProvider?: {
  now(): number;
}): Promise<OwnSlashingProtectionDatabase>;

/** Makes a signer on a database that other signers share. */
export declare function createSignerFromSharedDb(
  db: SlashingProtectionDatabase,
  config: SharedSignerConfig,
  deps?: CreateLocalSignerWithProtectionDeps,
): { signer: ValidatorHASigner; db: SlashingProtectionDatabase };
