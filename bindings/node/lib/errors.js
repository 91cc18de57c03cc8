/** The duty has been signed already, with the same data. All nodes of a cluster but one get this error. */
export class DutyAlreadySignedError extends Error {
  constructor(slot, dutyType, blockIndexWithinCheckpoint, signedByNode) {
    super(`Duty ${dutyType} for slot ${slot} already signed by node ${signedByNode}`);
    this.name = 'DutyAlreadySignedError';
    this.slot = slot;
    this.dutyType = dutyType;
    this.blockIndexWithinCheckpoint = blockIndexWithinCheckpoint;
    this.signedByNode = signedByNode;
  }
}

/** The duty has been signed with other data: signing this data would be slashed. */
export class SlashingProtectionError extends Error {
  constructor(slot, dutyType, blockIndexWithinCheckpoint, existingMessageHash, attemptedMessageHash, signedByNode) {
    super(
      `Slashing protection: ${dutyType} for slot ${slot} was already signed with different data. ` +
        `Existing: ${existingMessageHash.slice(0, 10)}..., Attempted: ${attemptedMessageHash.slice(0, 10)}...`,
    );
    this.name = 'SlashingProtectionError';
    this.slot = slot;
    this.dutyType = dutyType;
    this.blockIndexWithinCheckpoint = blockIndexWithinCheckpoint;
    this.existingMessageHash = existingMessageHash;
    this.attemptedMessageHash = attemptedMessageHash;
    this.signedByNode = signedByNode;
  }
}

/** This node no longer held the duty's row when the signature was recorded. The signature was destroyed. */
export class SigningLockLostError extends Error {
  constructor(slot, dutyType, nodeId) {
    super(
      `Slashing protection record for ${dutyType} at slot ${slot} was lost before signing completed ` +
        `(node ${nodeId}); discarding signature`,
    );
    this.name = 'SigningLockLostError';
    this.slot = slot;
    this.dutyType = dutyType;
    this.nodeId = nodeId;
  }
}

/** Any other failure; `code` names its kind, e.g. `invalid_input`, `unavailable`, `in_doubt`, `node_id_taken`. */
export class HASignerError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'HASignerError';
    this.code = code;
  }
}
