// Failures of the core as errors of the published package.

import { setTimeout } from 'node:timers';

import { DutyAlreadySignedError, HASignerError, SigningLockLostError, SlashingProtectionError } from './errors.js';

const kCallersError = /\[callers error (\d+)\]/;
const callersErrors = new Map();
let lastCallersError = 0;

/** Keeps an error of a caller's object, so that the caller gets this very error. */
export function keepError(error) {
  const number = ++lastCallersError;
  callersErrors.set(number, error);
  // By then the waiting caller has got the error.
  setTimeout(() => callersErrors.delete(number), 300_000).unref();
  return `[callers error ${number}] ${error?.message ?? error}`;
}

function keptError(message) {
  const number = Number(kCallersError.exec(message)?.[1]);
  const error = callersErrors.get(number);
  callersErrors.delete(number);
  return error;
}

const kUnreadable = 'unreadable';
const kMostUnreadable = 1000;
const unreadableHashes = new Map();

const rowName = (nodeId, slot, dutyType, index) => [nodeId, Number(slot), dutyType, index].join();

/** Keeps a text that a caller's database has instead of a hash, to show it when the duty is refused. */
export function keepHash({ nodeId, slot, dutyType, blockIndex }, text) {
  if (unreadableHashes.size >= kMostUnreadable) unreadableHashes.clear();
  unreadableHashes.set(rowName(nodeId, slot, dutyType, blockIndex), String(text));
}

function existingHash(failure, slot, dutyType, index) {
  if (failure.existing !== kUnreadable) return failure.existing;
  return unreadableHashes.get(rowName(failure.signedByNode, slot, dutyType, index)) ?? kUnreadable;
}

/** Names the published command, which users of this package have. */
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
        existingHash(failure, slot, dutyType, index),
        failure.attempted,
        failure.signedByNode,
      );
    case 'signing_lock_lost':
      return new SigningLockLostError(slot, dutyType, failure.nodeId);
    case 'sign_function_failed':
      return operation.error ? operation.error.cause : new HASignerError(failure.kind, failure.message);
    case 'sign_timed_out': {
      // The core says how long the call has run. Its bound is the setting, or the rest of the attempt's time.
      const ranMs = Number(/(\d+)ms/.exec(failure.message)?.[1]);
      const boundMs = Math.min(ranMs, operation.context.callTimeoutMs ?? ranMs);
      const message = `Signing operation for ${dutyType} at slot ${slot} timed out after ${boundMs}ms`;
      return new HASignerError(failure.kind, message);
    }
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
