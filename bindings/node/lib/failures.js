// Failures of the core as the errors that callers of the published package know.

import { setTimeout } from 'node:timers';

import { DutyAlreadySignedError, HASignerError, SigningLockLostError, SlashingProtectionError } from './errors.js';

const kCallersError = /\[callers error (\d+)\]/;
const callersErrors = new Map();
let lastCallersError = 0;

/** Keeps an error of a caller's object, so that it reaches whoever asked as it is. */
export function keepError(error) {
  const number = ++lastCallersError;
  callersErrors.set(number, error);
  // Whoever was waiting has been told by then.
  setTimeout(() => callersErrors.delete(number), 300_000).unref();
  return `[callers error ${number}] ${error?.message ?? error}`;
}

function keptError(message) {
  const number = Number(kCallersError.exec(message)?.[1]);
  const error = callersErrors.get(number);
  callersErrors.delete(number);
  return error;
}

/** The words of the published command, which this package's users have. */
export function publishedWords(text) {
  return text
    .replaceAll('ha-signer migrate up --database-url URL', 'aztec migrate-ha-db up --database-url <url>')
    .replaceAll('ha-signer migrate down --database-url URL', 'aztec migrate-ha-db down --database-url <url>');
}

export function errorOf(failure, operation) {
  const { slot, dutyType } = operation.context;
  const index = Number(failure.blockIndex ?? -1);
  switch (failure.kind) {
    case 'duty_already_signed': {
      const error = new DutyAlreadySignedError(slot, dutyType, index, failure.signedByNode);
      if (failure.signature) error.signature = failure.signature;
      return error;
    }
    case 'slashing_protection':
      return new SlashingProtectionError(
        slot,
        dutyType,
        index,
        failure.existing,
        failure.attempted,
        failure.signedByNode,
      );
    case 'signing_lock_lost':
      return new SigningLockLostError(slot, dutyType, failure.nodeId);
    case 'sign_function_failed':
      return operation.error ? operation.error.cause : new HASignerError(failure.kind, failure.message);
    case 'unavailable':
    case 'in_doubt':
    case 'incompatible':
      return keptError(failure.message) ?? new HASignerError(failure.kind, publishedWords(failure.message));
    case 'query':
      return Object.assign(new Error(failure.message), failure.code ? { code: failure.code } : {});
    default:
      return new HASignerError(failure.kind, publishedWords(failure.message));
  }
}
