import { DutyType } from './db/types.js';

export { DutyStatus, DutyType, getBlockIndexFromDutyIdentifier, normalizeBlockIndex } from './db/types.js';

const kVotes = new Set([DutyType.GOVERNANCE_VOTE, DutyType.SLASHING_VOTE]);

/** Whether signing twice would matter: authentication requests and transactions need no protection. */
export function isHAProtectedContext(context) {
  return context.dutyType !== DutyType.AUTH_REQUEST && context.dutyType !== DutyType.TXS;
}

/** The block number that the context carries; 0 for votes, and where a newer context carries none. */
export function getBlockNumberFromSigningContext(context) {
  return kVotes.has(context.dutyType) ? 0 : (context.blockNumber ?? 0);
}

/** The checkpoint number that a newer context carries; 0 for votes and older contexts. */
export function getCheckpointNumberFromSigningContext(context) {
  return kVotes.has(context.dutyType) ? 0 : (context.checkpointNumber ?? 0);
}
