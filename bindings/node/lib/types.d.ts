import type { BlockNumber, CheckpointNumber, EthAddress, IndexWithinCheckpoint, SlotNumber } from './aztec.js';
import type { Pool } from 'pg';

import type { ValidatorHASignerConfig } from './config.js';
import {
  type BlockProposalDutyIdentifier,
  type CheckAndRecordParams,
  type DeleteDutyParams,
  type DutyIdentifier,
  type DutyRow,
  DutyType,
  type OtherDutyIdentifier,
  type RecordSuccessParams,
  type ValidatorDutyRecord,
} from './db/types.js';

export type {
  BlockProposalDutyIdentifier,
  CheckAndRecordParams,
  DeleteDutyParams,
  DutyIdentifier,
  DutyRow,
  OtherDutyIdentifier,
  RecordSuccessParams,
  ValidatorDutyRecord,
  ValidatorHASignerConfig,
};
export { DutyStatus, DutyType, getBlockIndexFromDutyIdentifier, normalizeBlockIndex } from './db/types.js';

export interface TryInsertOrGetResult {
  /** Whether the call inserted the row, so that the caller holds it. */
  isNew: boolean;
  record: ValidatorDutyRecord;
}

/** Receives events of signers, for counters and histograms. The published package's HASignerMetrics has these methods. */
export interface SignerMetrics {
  recordSigningSuccess?(dutyType: string, durationMs: number): void;
  recordRecordedReturned?(dutyType: string): void;
  recordDutyAlreadySigned?(dutyType: string): void;
  recordSlashingProtection?(dutyType: string): void;
  recordSigningError?(dutyType: string): void;
  recordLockAcquire?(acquired: boolean): void;
  recordCleanup?(type: 'stuck' | 'old' | 'outdated_rollup', count: number): void;
}

/** Optional parts of a signer. */
export interface SignerDeps {
  metrics?: SignerMetrics;
  dateProvider?: { now(): number };
}

export interface CreateHASignerDeps extends SignerDeps {
  /** Used instead of connections of the signer itself. */
  pool?: Pool;
  /** Makes the metrics when none are given. */
  telemetryClient?: unknown;
}

export type CreateLocalSignerWithProtectionDeps = Omit<CreateHASignerDeps, 'pool'>;

interface BaseSigningContext {
  slot: SlotNumber;
  /** Number of the block; for checkpoint proposals, of the checkpoint. */
  blockNumber: BlockNumber | CheckpointNumber;
  /** In the contexts of newer releases. */
  checkpointNumber?: CheckpointNumber;
}

/** Newer releases: checkpoints are named by their own number. */
interface CheckpointContext {
  slot: SlotNumber;
  checkpointNumber: CheckpointNumber;
  blockNumber?: BlockNumber | CheckpointNumber;
}

export interface BlockProposalSigningContext extends BaseSigningContext {
  /** 0, 1, 2, … */
  blockIndexWithinCheckpoint: IndexWithinCheckpoint;
  dutyType: DutyType.BLOCK_PROPOSAL;
}

export interface OtherSigningContext extends BaseSigningContext {
  dutyType: DutyType.CHECKPOINT_PROPOSAL | DutyType.ATTESTATION | DutyType.ATTESTATIONS_AND_SIGNERS;
}

export interface CheckpointProposalSigningContext extends CheckpointContext {
  dutyType: DutyType.CHECKPOINT_PROPOSAL;
}

export interface AttestationSigningContext extends CheckpointContext {
  dutyType: DutyType.ATTESTATION | DutyType.ATTESTATIONS_AND_SIGNERS;
}

export interface VoteSigningContext {
  slot: SlotNumber;
  dutyType: DutyType.GOVERNANCE_VOTE | DutyType.SLASHING_VOTE;
}

/** Duty types that may be signed twice. */
export interface NoHAProtectionSigningContext {
  dutyType: DutyType.AUTH_REQUEST | DutyType.TXS;
}

export type HAProtectedSigningContext =
  | BlockProposalSigningContext
  | OtherSigningContext
  | CheckpointProposalSigningContext
  | AttestationSigningContext
  | VoteSigningContext;

export type SigningContext = HAProtectedSigningContext | NoHAProtectionSigningContext;

/** Whether the type needs protection. */
export declare function isHAProtectedContext(context: SigningContext): context is HAProtectedSigningContext;

/** The block number of the context; 0 for votes, and for newer contexts without one. */
export declare function getBlockNumberFromSigningContext(
  context: HAProtectedSigningContext,
): BlockNumber | CheckpointNumber;

/** The checkpoint number of a newer context; 0 for votes and older contexts. */
export declare function getCheckpointNumberFromSigningContext(context: HAProtectedSigningContext): CheckpointNumber;

/**
 * A database of signers. Callers may pass an object of their own, of any release's shape: without
 * cleanupOutdatedRollupDuties(), each row has a deadline of its own, and cleanupOldDuties() gets no age.
 */
export interface SlashingProtectionDatabase {
  /** Inserts the duty as *signing* unless there is a row, atomically. */
  tryInsertOrGetExisting(params: CheckAndRecordParams): Promise<TryInsertOrGetResult>;
  /** Records the signature if the duty is held under this token. */
  updateDutySigned(
    rollupAddress: EthAddress,
    validatorAddress: EthAddress,
    slot: SlotNumber,
    dutyType: DutyType,
    signature: string,
    lockToken: string,
    blockIndexWithinCheckpoint: number,
  ): Promise<boolean>;
  /** Releases the duty if it is held under this token. */
  deleteDuty(
    rollupAddress: EthAddress,
    validatorAddress: EthAddress,
    slot: SlotNumber,
    dutyType: DutyType,
    lockToken: string,
    blockIndexWithinCheckpoint: number,
  ): Promise<boolean>;
  cleanupOwnStuckDuties(nodeId: string, maxAgeMs: number): Promise<number>;
  cleanupOutdatedRollupDuties?(currentRollupAddress: EthAddress): Promise<number>;
  cleanupOldDuties(maxAgeMs?: number): Promise<number>;
  close(): Promise<void>;
}

/** A database of this package: it has the methods of every release. */
export interface OwnSlashingProtectionDatabase extends SlashingProtectionDatabase {
  /** Deletes the duties of every other rollup. Signers of this package never call it. */
  cleanupOutdatedRollupDuties(currentRollupAddress: EthAddress): Promise<number>;
  /** Deletes signed duties that are older than that; without an age, duties whose own deadline has passed (schema 3). */
  cleanupOldDuties(maxAgeMs?: number): Promise<number>;
}
