// The connection to the addon. An operation begins under a number and ends by an event with that number. The kinds of
// events are those of native/environment.hpp.

import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers';

import { errorOf } from './failures.js';
import { textOfSignature } from './values.js';

function loadAddon() {
  try {
    return createRequire(import.meta.url)('../native/ha_signer.node');
  } catch (error) {
    const here = `${process.platform} ${process.arch}`;
    const message = `The addon of ha-signer cannot be loaded on this ${here}: ${error.message}. It needs glibc 2.36 or newer (Debian 12, Ubuntu 24.04), and a package that was built for this processor`;
    throw new Error(message, { cause: error });
  }
}

/** The functions of the addon (see native/addon.hpp), and the core's defaults. */
export const native = loadAddon().attach(events => deliver(events));

const kResolve = 0;
const kReject = 1;
const kSign = 2;
const kQuery = 3;
const kCall = 4;
const kNotice = 5;

/** Sign functions may compute. After this time other work of the event loop runs before the next one is called. */
const kTurnMs = 10;

const operations = new Map();
const listeners = new Map();
let lastNumber = 0;
let answerQuery = () => {};
let answerCall = () => {};
let backlog = [];

/** A number for an operation, a store, a signer or a pool. */
export function nextNumber() {
  return ++lastNumber;
}

/** Sets the function that runs statements in callers' pools. */
export function onQuery(answer) {
  answerQuery = answer;
}
/** Sets the function that calls methods of callers' databases. */
export function onCall(answer) {
  answerCall = answer;
}

/** Calls `listener` with the events of a signer, for its metrics. */
export function onNotice(signer, listener) {
  listeners.set(signer, listener);
}
export function forgetNotices(signer) {
  listeners.delete(signer);
}

/**
 * Begins an operation by `begin(number)` and returns a promise of its end.
 *
 * Errors are made from `context`; for signing it also has what is signed: {slot, dutyType, signFn, message}. Where
 * `recorded(failure)` returns a signature, that is the result instead.
 */
export function operate(begin, context = {}) {
  return new Promise((resolve, reject) => {
    const number = ++lastNumber;
    operations.set(number, { resolve, reject, context, value: undefined, error: undefined });
    try {
      begin(number);
    } catch (error) {
      operations.delete(number);
      reject(error);
    }
  });
}

function callSignFunction(number) {
  const operation = operations.get(number);
  if (!operation) return;
  const fail = error => {
    operation.error = { cause: error };
    native.signFailed(number, 'the sign function failed');
  };
  const succeed = signature => {
    // The addon drops a signature that comes after the attempt has ended.
    if (!operations.has(number)) return;
    let text;
    try {
      text = textOfSignature(signature);
    } catch (error) {
      fail(error);
      return;
    }
    operation.value = signature;
    native.signed(number, text);
  };
  try {
    const { signFn, message } = operation.context;
    Promise.resolve(signFn(message)).then(succeed, fail);
  } catch (error) {
    fail(error);
  }
}

function end(number, settle) {
  const operation = operations.get(number);
  operations.delete(number);
  if (operation) settle(operation);
}

function handle(kind, number, value) {
  switch (kind) {
    case kResolve:
      end(number, operation => operation.resolve(value === undefined ? operation.value : value));
      break;
    case kReject:
      end(number, operation => {
        const recorded = operation.context.recorded?.(value);
        if (recorded === undefined) operation.reject(errorOf(value, operation));
        else operation.resolve(recorded);
      });
      break;
    case kSign:
      callSignFunction(number);
      break;
    case kQuery:
      answerQuery(number, value);
      break;
    case kCall:
      answerCall(number, value);
      break;
    case kNotice:
      listeners.get(number)?.(value);
      break;
  }
}

function handleAll(events) {
  const startedAt = performance.now();
  for (let i = 0; i < events.length; i += 3) {
    if (events[i] === kSign && i > 0 && performance.now() - startedAt > kTurnMs) return events.slice(i);
    handle(events[i], events[i + 1], events[i + 2]);
  }
  return [];
}

function goOn() {
  const events = backlog;
  backlog = [];
  backlog = handleAll(events).concat(backlog);
  if (backlog.length > 0) setImmediate(goOn);
}

function deliver(events) {
  if (backlog.length > 0) {
    backlog = backlog.concat(events);
    return;
  }
  backlog = handleAll(events);
  if (backlog.length > 0) setImmediate(goOn);
}

process.on('exit', () => native.shutDown());
