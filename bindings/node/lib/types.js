import { DutyType } from './db/types.js';

export { DutyStatus, DutyType, getBlockIndexFromDutyIdentifier, normalizeBlockIndex } from './db/types.js';

const kVotes = new Set([DutyType.GOVERNANCE_VOTE, DutyType.SLASHING_VOTE]);

/** Whether the type needs protection: authentication requests and transactions may be signed twice. */
export function isHAProtectedContext(context) {
  return context.dutyType !== DutyType.AUTH_REQUEST && context.dutyType !== DutyType.TXS;
}

/** The block number of the context; 0 for votes, and for newer contexts without one. */
export function getBlockNumberFromSigningContext(context) {
  return kVotes.has(context.dutyType) ? 0 : (context.blockNumber ?? 0);
}

/** The checkpoint number of a newer context; 0 for votes and older contexts. */
export function getCheckpointNumberFromSigningContext(context) {
  return kVotes.has(context.dutyType) ? 0 : (context.checkpointNumber ?? 0);
}
