import { addressLike, wholeNumber } from '../values.js';

const dateOf = ms => (ms === undefined ? undefined : new Date(ms));

/** The record of a duty from plain values: numbers as text, times in Unix ms. */
export function recordFromFields(stored) {
  return {
    rollupAddress: addressLike(undefined, stored.rollupAddress),
    validatorAddress: addressLike(undefined, stored.validatorAddress),
    slot: wholeNumber(stored.slot),
    blockNumber: wholeNumber(stored.blockNumber),
    checkpointNumber: wholeNumber(stored.checkpointNumber),
    blockIndexWithinCheckpoint: stored.blockIndexWithinCheckpoint,
    dutyType: stored.dutyType,
    status: stored.status,
    messageHash: stored.messageHash,
    signature: stored.signature,
    nodeId: stored.nodeId,
    lockToken: stored.lockToken,
    startedAt: dateOf(stored.startedAtMs),
    completedAt: dateOf(stored.completedAtMs),
    errorMessage: stored.errorMessage,
  };
}
