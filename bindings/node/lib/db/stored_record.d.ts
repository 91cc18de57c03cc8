import type { DutyStatus, DutyType, ValidatorDutyRecord } from './types.js';

/** A duty as a key-value store keeps it: numbers as text, times in Unix ms. */
export interface StoredDutyRecord {
  rollupAddress: string;
  validatorAddress: string;
  slot: string;
  blockNumber: string;
  checkpointNumber: string;
  blockIndexWithinCheckpoint: number;
  dutyType: DutyType;
  status: DutyStatus;
  messageHash: string;
  signature?: string;
  nodeId: string;
  lockToken: string;
  startedAtMs: number;
  completedAtMs?: number;
  /** Missing: the duty is kept. */
  expiresAtMs?: number;
  errorMessage?: string;
}

export declare function recordFromFields(stored: StoredDutyRecord): ValidatorDutyRecord;
