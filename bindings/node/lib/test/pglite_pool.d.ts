import type { PGliteInterface } from '@electric-sql/pglite';
import { EventEmitter } from 'node:events';
import type { QueryResult, QueryResultRow } from 'pg';

export interface PoolConfig {
  pglite: PGliteInterface;
  /** Default 10. */
  max?: number;
  min?: number;
}

/** A session of a PGlite database. Ending it leaves the database open. */
export declare class Client extends EventEmitter {
  constructor(config: { pglite: PGliteInterface });
  get connected(): boolean;
  connect(): Promise<void>;
  query<R extends QueryResultRow = any>(text: string, values?: any[]): Promise<QueryResult<R>>;
  end(): Promise<void>;
}

export declare class PoolClient extends Client {
  release(): void;
}

/** A pool over PGlite, for tests without a server. */
export declare class Pool extends EventEmitter {
  readonly options: PoolConfig;
  constructor(config: PoolConfig);
  get totalCount(): number;
  get idleCount(): number;
  get waitingCount(): number;
  get ending(): boolean;
  get ended(): boolean;
  connect(): Promise<PoolClient>;
  query<R extends QueryResultRow = any>(text: string, values?: any[]): Promise<QueryResult<R>>;
  end(): Promise<void>;
}
