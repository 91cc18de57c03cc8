import type { BlockNumber, CheckpointNumber, IndexWithinCheckpoint, SlotNumber } from '@aztec/foundation/branded-types';
import type { EthAddress } from '@aztec/foundation/eth-address';
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
  /** Whether the row was inserted just now, and so is the caller's. */
  isNew: boolean;
  record: ValidatorDutyRecord;
}

/** What happened to signers, for counters and histograms: the published package's HASignerMetrics has these methods. */
export interface SignerMetrics {
  recordSigningSuccess?(dutyType: string, durationMs: number): void;
  recordDutyAlreadySigned?(dutyType: string): void;
  recordSlashingProtection?(dutyType: string): void;
  recordSigningError?(dutyType: string): void;
  recordLockAcquire?(acquired: boolean): void;
  recordCleanup?(type: 'stuck' | 'old' | 'outdated_rollup', count: number): void;
}

/** What a signer may be given besides. */
export interface SignerDeps {
  metrics?: SignerMetrics;
  dateProvider?: { now(): number };
}

export interface CreateHASignerDeps extends SignerDeps {
  /** In the place of connections of the signer's own. */
  pool?: Pool;
  /** Makes the metrics, unless they are given. */
  telemetryClient?: unknown;
}

interface BaseSigningContext {
  slot: SlotNumber;
  /** The block's, or for checkpoint proposals the checkpoint's. */
  blockNumber: BlockNumber | CheckpointNumber;
  /** In the contexts of newer releases. */
  checkpointNumber?: CheckpointNumber;
}

export interface BlockProposalSigningContext extends BaseSigningContext {
  /** 0, 1, 2, … */
  blockIndexWithinCheckpoint: IndexWithinCheckpoint;
  dutyType: DutyType.BLOCK_PROPOSAL;
}

export interface OtherSigningContext extends BaseSigningContext {
  dutyType: DutyType.CHECKPOINT_PROPOSAL | DutyType.ATTESTATION | DutyType.ATTESTATIONS_AND_SIGNERS;
}

export interface VoteSigningContext {
  slot: SlotNumber;
  dutyType: DutyType.GOVERNANCE_VOTE | DutyType.SLASHING_VOTE;
}

/** What may be signed twice. */
export interface NoHAProtectionSigningContext {
  dutyType: DutyType.AUTH_REQUEST | DutyType.TXS;
}

export type HAProtectedSigningContext = BlockProposalSigningContext | OtherSigningContext | VoteSigningContext;

export type SigningContext = HAProtectedSigningContext | NoHAProtectionSigningContext;

/** Whether signing twice would matter. */
export declare function isHAProtectedContext(context: SigningContext): context is HAProtectedSigningContext;

/** The block number that the context carries; 0 for votes, and where a newer context carries none. */
export declare function getBlockNumberFromSigningContext(
  context: HAProtectedSigningContext,
): BlockNumber | CheckpointNumber;

/** The checkpoint number that a newer context carries; 0 for votes and older contexts. */
export declare function getCheckpointNumberFromSigningContext(context: HAProtectedSigningContext): CheckpointNumber;

/** A database that signers can work on; one may bring one's own. */
export interface SlashingProtectionDatabase {
  /** Inserts the duty as *signing* unless a row is there, in one step. */
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
  /** Gives the duty up if it is held under this token. */
  deleteDuty(
    rollupAddress: EthAddress,
    validatorAddress: EthAddress,
    slot: SlotNumber,
    dutyType: DutyType,
    lockToken: string,
    blockIndexWithinCheckpoint: number,
  ): Promise<boolean>;
  cleanupOwnStuckDuties(nodeId: string, maxAgeMs: number): Promise<number>;
  cleanupOutdatedRollupDuties(currentRollupAddress: EthAddress): Promise<number>;
  cleanupOldDuties(maxAgeMs: number): Promise<number>;
  close(): Promise<void>;
}
