import type { EthAddress, SlotNumber } from '../aztec.js';
import type { SlashingProtectionDatabase, TryInsertOrGetResult } from '../types.js';
import type { CheckAndRecordParams, DutyType } from './types.js';

/** What the database needs of a key-value store of the node. */
export interface KeyValueStore {
  openMap(name: string): unknown;
  transactionAsync<T>(run: (...args: any[]) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** The database of a single node of 5.x, on a key-value store of the node that the caller has opened. */
export declare class LmdbSlashingProtectionDatabase implements SlashingProtectionDatabase {
  static readonly SCHEMA_VERSION: number;
  constructor(store: KeyValueStore, dateProvider?: { now(): number });
  tryInsertOrGetExisting(params: CheckAndRecordParams): Promise<TryInsertOrGetResult>;
  updateDutySigned(
    rollupAddress: EthAddress,
    validatorAddress: EthAddress,
    slot: SlotNumber,
    dutyType: DutyType,
    signature: string,
    lockToken: string,
    blockIndexWithinCheckpoint: number,
  ): Promise<boolean>;
  deleteDuty(
    rollupAddress: EthAddress,
    validatorAddress: EthAddress,
    slot: SlotNumber,
    dutyType: DutyType,
    lockToken: string,
    blockIndexWithinCheckpoint: number,
  ): Promise<boolean>;
  cleanupOwnStuckDuties(nodeId: string, maxAgeMs: number, heldLockTokens?: readonly string[]): Promise<number>;
  /** Deletes the duties whose own deadline has passed. */
  cleanupOldDuties(): Promise<number>;
  close(): Promise<void>;
}

/** Brings a node's own store from schema 1 or 2 to 3, by the key-value store of the installed release. */
export declare function migrateLmdbSlashingProtectionDatabase(
  dataDirectory: string,
  currentVersion: number,
  latestVersion: number,
  mapSizeKb?: number,
): Promise<void>;
