import type { EthAddress, SlotNumber } from '../aztec.js';
import type { QueryResult, QueryResultRow } from 'pg';

import type { OwnSlashingProtectionDatabase, TryInsertOrGetResult } from '../types.js';
import type { CheckAndRecordParams, DutyType } from './types.js';

/** The methods of a pool: pg's Pool, or another object whose query() is a transaction of its own. */
export interface QueryablePool {
  query<R extends QueryResultRow = any>(text: string, values?: any[]): Promise<QueryResult<R>>;
  end(): Promise<void>;
}

/** Protection on PostgreSQL through a caller's pool. */
export declare class PostgresSlashingProtectionDatabase implements OwnSlashingProtectionDatabase {
  constructor(pool: QueryablePool);
  /** Checks that the tables are there and of a version that this package knows. */
  initialize(): Promise<void>;
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
  /** Deletes this node's stuck duties, except those under the held tokens. */
  cleanupOwnStuckDuties(nodeId: string, maxAgeMs: number, heldLockTokens?: readonly string[]): Promise<number>;
  cleanupOutdatedRollupDuties(currentRollupAddress: EthAddress): Promise<number>;
  /** Deletes signed duties that are older than that; without an age, duties whose own deadline has passed (schema 3). */
  cleanupOldDuties(maxAgeMs?: number): Promise<number>;
  /** Ends the pool. May be called twice. */
  close(): Promise<void>;
}
