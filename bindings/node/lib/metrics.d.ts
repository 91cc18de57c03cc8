import type { SignerMetrics } from './types.js';

/** The methods that a telemetry client must have. */
export interface MeterSource {
  getMeter(name: string): unknown;
}

/** Metrics of signers for a telemetry client, under the names of existing dashboards. */
export declare class HASignerMetrics implements SignerMetrics {
  constructor(client: MeterSource, nodeId: string, name?: string);
  recordSigningSuccess(dutyType: string, durationMs: number): void;
  recordRecordedReturned(dutyType: string): void;
  recordDutyAlreadySigned(dutyType: string): void;
  recordSlashingProtection(dutyType: string): void;
  recordSigningError(dutyType: string): void;
  recordLockAcquire(acquired: boolean): void;
  recordCleanup(type: 'stuck' | 'old' | 'outdated_rollup', count: number): void;
}
