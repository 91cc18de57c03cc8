import type { SignerMetrics } from './types.js';

/** What a telemetry client must have. */
export interface MeterSource {
  getMeter(name: string): unknown;
}

/** What happened to signers, told to a telemetry client under the names that existing dashboards know. */
export declare class HASignerMetrics implements SignerMetrics {
  constructor(client: MeterSource, nodeId: string, name?: string);
  recordSigningSuccess(dutyType: string, durationMs: number): void;
  recordDutyAlreadySigned(dutyType: string): void;
  recordSlashingProtection(dutyType: string): void;
  recordSigningError(dutyType: string): void;
  recordLockAcquire(acquired: boolean): void;
  recordCleanup(type: 'stuck' | 'old' | 'outdated_rollup', count: number): void;
}
