/** What a validator is asked to sign. */
export const DutyType = Object.freeze({
  BLOCK_PROPOSAL: 'BLOCK_PROPOSAL',
  CHECKPOINT_PROPOSAL: 'CHECKPOINT_PROPOSAL',
  ATTESTATION: 'ATTESTATION',
  ATTESTATIONS_AND_SIGNERS: 'ATTESTATIONS_AND_SIGNERS',
  GOVERNANCE_VOTE: 'GOVERNANCE_VOTE',
  SLASHING_VOTE: 'SLASHING_VOTE',
  AUTH_REQUEST: 'AUTH_REQUEST',
  TXS: 'TXS',
});

export const DutyStatus = Object.freeze({ SIGNING: 'signing', SIGNED: 'signed' });

/** The block index of the table: the given one for block proposals, which need it; -1 for every other type. */
export function normalizeBlockIndex(dutyType, blockIndexWithinCheckpoint) {
  if (dutyType !== DutyType.BLOCK_PROPOSAL) return -1;
  if (blockIndexWithinCheckpoint === undefined) {
    throw new Error('BLOCK_PROPOSAL duties require blockIndexWithinCheckpoint to be specified');
  }
  if (blockIndexWithinCheckpoint < 0) {
    throw new Error(`BLOCK_PROPOSAL duties require blockIndexWithinCheckpoint >= 0, got ${blockIndexWithinCheckpoint}`);
  }
  return blockIndexWithinCheckpoint;
}

export function getBlockIndexFromDutyIdentifier(duty) {
  return duty.dutyType === DutyType.BLOCK_PROPOSAL ? duty.blockIndexWithinCheckpoint : -1;
}
