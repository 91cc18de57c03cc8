import type { BlockNumber, CheckpointNumber, IndexWithinCheckpoint, SlotNumber } from '@aztec/foundation/branded-types';
import type { EthAddress } from '@aztec/foundation/eth-address';
import type { Signature } from '@aztec/foundation/eth-signature';

/** What a validator is asked to sign. */
export declare enum DutyType {
  BLOCK_PROPOSAL = 'BLOCK_PROPOSAL',
  CHECKPOINT_PROPOSAL = 'CHECKPOINT_PROPOSAL',
  ATTESTATION = 'ATTESTATION',
  ATTESTATIONS_AND_SIGNERS = 'ATTESTATIONS_AND_SIGNERS',
  GOVERNANCE_VOTE = 'GOVERNANCE_VOTE',
  SLASHING_VOTE = 'SLASHING_VOTE',
  AUTH_REQUEST = 'AUTH_REQUEST',
  TXS = 'TXS',
}

export declare enum DutyStatus {
  SIGNING = 'signing',
  SIGNED = 'signed',
}

/** A row of the table, as pg gives it. */
export interface DutyRow {
  rollup_address: string;
  validator_address: string;
  slot: string;
  block_number: string;
  block_index_within_checkpoint: number;
  duty_type: DutyType;
  status: DutyStatus;
  message_hash: string;
  signature: string | null;
  node_id: string;
  lock_token: string;
  started_at: Date;
  completed_at: Date | null;
  error_message: string | null;
}

/** A row of INSERT_OR_GET_DUTY. */
export interface InsertOrGetRow extends DutyRow {
  is_new: boolean;
}

/** The row of a claimed duty. */
export interface ValidatorDutyRecord {
  rollupAddress: EthAddress;
  validatorAddress: EthAddress;
  slot: SlotNumber;
  blockNumber: BlockNumber;
  /** -1 for everything but block proposals. */
  blockIndexWithinCheckpoint: number;
  dutyType: DutyType;
  status: DutyStatus;
  messageHash: string;
  /** Set once the row is signed. */
  signature?: string;
  nodeId: string;
  /** Empty unless the caller holds the row. */
  lockToken: string;
  startedAt: Date;
  completedAt?: Date;
  /** Unused. */
  errorMessage?: string;
}

export interface BlockProposalDutyIdentifier {
  rollupAddress: EthAddress;
  validatorAddress: EthAddress;
  slot: SlotNumber;
  /** 0, 1, 2, … */
  blockIndexWithinCheckpoint: IndexWithinCheckpoint;
  dutyType: DutyType.BLOCK_PROPOSAL;
}

export interface OtherDutyIdentifier {
  rollupAddress: EthAddress;
  validatorAddress: EthAddress;
  slot: SlotNumber;
  dutyType:
    | DutyType.CHECKPOINT_PROPOSAL
    | DutyType.ATTESTATION
    | DutyType.ATTESTATIONS_AND_SIGNERS
    | DutyType.GOVERNANCE_VOTE
    | DutyType.SLASHING_VOTE
    | DutyType.AUTH_REQUEST
    | DutyType.TXS;
}

/** The key of a duty. */
export type DutyIdentifier = BlockProposalDutyIdentifier | OtherDutyIdentifier;

/** The block index of the table: the given one for block proposals, which need it; -1 for every other type. */
export declare function normalizeBlockIndex(dutyType: DutyType, blockIndexWithinCheckpoint: number | undefined): number;

export declare function getBlockIndexFromDutyIdentifier(duty: DutyIdentifier): number;

export type CheckAndRecordParams = DutyIdentifier & {
  blockNumber: BlockNumber | CheckpointNumber;
  checkpointNumber?: CheckpointNumber;
  messageHash: string;
  nodeId: string;
};

export type RecordSuccessParams = DutyIdentifier & {
  signature: Signature;
  nodeId: string;
  lockToken: string;
};

export type DeleteDutyParams = DutyIdentifier & {
  lockToken: string;
};
