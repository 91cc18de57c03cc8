import type {
  BlockNumber,
  CheckpointNumber,
  EthAddress,
  IndexWithinCheckpoint,
  Signature,
  SlotNumber,
} from '../aztec.js';

/** What a validator is asked to sign. Members of the enum of Aztec's own packages are members of this type, too. */
export declare const DutyType: {
  readonly BLOCK_PROPOSAL: 'BLOCK_PROPOSAL';
  readonly CHECKPOINT_PROPOSAL: 'CHECKPOINT_PROPOSAL';
  readonly ATTESTATION: 'ATTESTATION';
  readonly ATTESTATIONS_AND_SIGNERS: 'ATTESTATIONS_AND_SIGNERS';
  readonly GOVERNANCE_VOTE: 'GOVERNANCE_VOTE';
  readonly SLASHING_VOTE: 'SLASHING_VOTE';
  readonly AUTH_REQUEST: 'AUTH_REQUEST';
  readonly TXS: 'TXS';
};
export type DutyType = (typeof DutyType)[keyof typeof DutyType];
export declare namespace DutyType {
  type BLOCK_PROPOSAL = 'BLOCK_PROPOSAL';
  type CHECKPOINT_PROPOSAL = 'CHECKPOINT_PROPOSAL';
  type ATTESTATION = 'ATTESTATION';
  type ATTESTATIONS_AND_SIGNERS = 'ATTESTATIONS_AND_SIGNERS';
  type GOVERNANCE_VOTE = 'GOVERNANCE_VOTE';
  type SLASHING_VOTE = 'SLASHING_VOTE';
  type AUTH_REQUEST = 'AUTH_REQUEST';
  type TXS = 'TXS';
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
  /** From schema 2 on. */
  checkpoint_number?: string;
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
  /** From schema 2 on. */
  checkpointNumber: CheckpointNumber;
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
  /** How long the row is kept, from its insertion (schema 3). Missing: it stays. */
  retentionMs?: number;
};

export type RecordSuccessParams = DutyIdentifier & {
  signature: Signature;
  nodeId: string;
  lockToken: string;
};

export type DeleteDutyParams = DutyIdentifier & {
  lockToken: string;
};
