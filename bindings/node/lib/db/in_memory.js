// A database in memory, for tests of several nodes in one process.

import { randomBytes } from 'node:crypto';

import { hexOf } from '../values.js';
import { DutyStatus, normalizeBlockIndex } from './types.js';

/** Compares addresses as bytes and numbers by their values. */
function keyOf(rollupAddress, validatorAddress, slot, dutyType, blockIndex) {
  return [hexOf(rollupAddress).toLowerCase(), hexOf(validatorAddress).toLowerCase(), slot, dutyType, blockIndex].join();
}

/** Keeps its rows when it is closed: other signers may still use it. It never deletes a signed duty, so it needs no watermarks. */
export class InMemorySlashingProtectionDatabase {
  #duties = new Map();
  #dateProvider;

  constructor(dateProvider = Date) {
    this.#dateProvider = dateProvider;
  }

  async tryInsertOrGetExisting(params) {
    const { rollupAddress, validatorAddress, slot, dutyType } = params;
    const blockIndexWithinCheckpoint = normalizeBlockIndex(dutyType, params.blockIndexWithinCheckpoint);
    const key = keyOf(rollupAddress, validatorAddress, slot, dutyType, blockIndexWithinCheckpoint);
    const existing = this.#duties.get(key);
    if (existing) return { isNew: false, record: { ...existing, lockToken: '' } };
    const record = {
      rollupAddress,
      validatorAddress,
      slot,
      blockNumber: params.blockNumber,
      ...(params.checkpointNumber === undefined ? {} : { checkpointNumber: params.checkpointNumber }),
      blockIndexWithinCheckpoint,
      dutyType,
      status: DutyStatus.SIGNING,
      messageHash: params.messageHash,
      nodeId: params.nodeId,
      lockToken: randomBytes(16).toString('hex'),
      startedAt: new Date(this.#dateProvider.now()),
    };
    this.#duties.set(key, record);
    return { isNew: true, record: { ...record } };
  }

  async updateDutySigned(rollup, validator, slot, dutyType, signature, lockToken, blockIndex) {
    const record = this.#heldUnder(keyOf(rollup, validator, slot, dutyType, blockIndex), lockToken);
    if (!record) return false;
    Object.assign(record, { status: DutyStatus.SIGNED, signature, completedAt: new Date(this.#dateProvider.now()) });
    return true;
  }

  async deleteDuty(rollup, validator, slot, dutyType, lockToken, blockIndex) {
    const key = keyOf(rollup, validator, slot, dutyType, blockIndex);
    return this.#heldUnder(key, lockToken) !== undefined && this.#duties.delete(key);
  }

  #heldUnder(key, lockToken) {
    const record = this.#duties.get(key);
    return record?.status === DutyStatus.SIGNING && record.lockToken === lockToken ? record : undefined;
  }

  async cleanupOwnStuckDuties(nodeId, maxAgeMs, heldLockTokens = []) {
    const before = this.#dateProvider.now() - maxAgeMs;
    const isStuck = record =>
      record.status === DutyStatus.SIGNING &&
      record.nodeId === nodeId &&
      record.startedAt.getTime() < before &&
      !heldLockTokens.includes(record.lockToken);
    const stuck = [...this.#duties].filter(([, record]) => isStuck(record));
    for (const [key] of stuck) this.#duties.delete(key);
    return stuck.length;
  }

  async cleanupOutdatedRollupDuties() {
    return 0;
  }

  async cleanupOldDuties() {
    return 0;
  }

  async close() {}
}
