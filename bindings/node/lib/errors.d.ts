import type { SlotNumber } from './aztec.js';

import type { DutyType } from './db/types.js';

/** The duty has been signed already, with the same data. All nodes of a cluster but one get this error. */
export declare class DutyAlreadySignedError extends Error {
  readonly slot: SlotNumber;
  readonly dutyType: DutyType;
  readonly blockIndexWithinCheckpoint: number;
  /** `unknown (timeout)` when another node held the duty for too long. */
  readonly signedByNode: string;
  /** The recorded signature, so that it can be published again; missing while it is not known to be durable. */
  readonly signature?: string;
  constructor(slot: SlotNumber, dutyType: DutyType, blockIndexWithinCheckpoint: number, signedByNode: string);
}

/** The duty has been signed with other data: signing this data would be slashed. */
export declare class SlashingProtectionError extends Error {
  readonly slot: SlotNumber;
  readonly dutyType: DutyType;
  readonly blockIndexWithinCheckpoint: number;
  readonly existingMessageHash: string;
  readonly attemptedMessageHash: string;
  readonly signedByNode: string;
  constructor(
    slot: SlotNumber,
    dutyType: DutyType,
    blockIndexWithinCheckpoint: number,
    existingMessageHash: string,
    attemptedMessageHash: string,
    signedByNode: string,
  );
}

/** This node no longer held the duty's row when the signature was recorded. The signature was destroyed. */
export declare class SigningLockLostError extends Error {
  readonly slot: SlotNumber;
  readonly dutyType: DutyType;
  readonly nodeId: string;
  constructor(slot: SlotNumber, dutyType: DutyType, nodeId: string);
}

/** Any other failure. */
export declare class HASignerError extends Error {
  /** The kind: `invalid_input`, `outside_watermark`, `unavailable`, `in_doubt`, `sign_timed_out`, `node_id_taken`, `not_running`, `overloaded`, `configuration`, `incompatible`. */
  readonly code: string;
  constructor(code: string, message: string);
}
