// Makes the settings of a signer from a config of the published package, of the older or newer shape.

import { native } from './core.js';
import { DutyType, isHAProtectedContext } from './types.js';
import { hexOf, isTrue, rollupOf } from './values.js';

const { defaults } = native;
export const kDefaultStuckAgeMs = defaults.maxStuckDutiesAgeMs;
const kShortestStuckAgeMs = 2_000;

/** The options that set the core's fields. */
const kOptionOfField = {
  polling_interval: 'pollingIntervalMs',
  peer_signing_timeout: 'signingTimeoutMs',
  signer_call_timeout: 'signerCallTimeoutMs',
  attempt_timeout: 'attemptTimeoutMs',
  max_stuck_duties_age: 'maxStuckDutiesAgeMs',
  old_duties_max_age: 'cleanupOldDutiesAfterHours',
  claim_delay: 'claimDelayMs',
  preferred_validators: 'preferredValidators',
};

/** What the core says of one of its fields, with the name of the option that sets it. */
export function inOptionNames(message) {
  return message.replace(/^\w+/, field => kOptionOfField[field] ?? field);
}

function milliseconds(config, names, otherwise) {
  for (const name of names) {
    const value = config[name];
    if (value === undefined || value === null) continue;
    const number = Number(value);
    if (!Number.isFinite(number) || number < 0)
      throw new Error(`${name} is ${value}; it must be a number of milliseconds, at least 0`);
    return number;
  }
  return otherwise;
}

/**
 * Whether the rules of releases up to 4.x hold, rather than those of 5.x: configs of the former have `l1Contracts`, those of
 * the latter `rollupAddress`. Older signers must be enabled in the config; newer ones do not ask.
 */
export function isOlderConfig(config) {
  return config.l1Contracts !== undefined && config.rollupAddress === undefined;
}

/** Age in ms at which signed duties are deleted; undefined: never. */
export function retentionMs(config) {
  const hours = config.cleanupOldDutiesAfterHours;
  if (hours === undefined || hours === null) return undefined;
  if (!Number.isFinite(Number(hours)) || hours < 0)
    throw new Error(`cleanupOldDutiesAfterHours is ${hours}; it must be a number of hours, at least 0`);
  return Number(hours) * 3_600_000;
}

function protectedTypes(types) {
  for (const type of types) {
    if (!(type in DutyType) || !isHAProtectedContext({ dutyType: type }))
      throw new Error(`returnRecorded has ${type}; it must have protected duty types only, such as ATTESTATION`);
  }
  return types;
}

/** An Aztec node passes a config of its own, so its operator has the variables only. */
function claimDelayOfEnvironment() {
  const name = 'VALIDATOR_HA_CLAIM_DELAY_MS';
  return milliseconds({ [name]: process.env[name] || undefined }, [name], 0);
}

function preferredValidators(config) {
  const listed = process.env.HA_SIGNER_PREFERRED_VALIDATORS ?? '';
  const validators = config.preferredValidators ?? listed.split(',').filter(text => text.trim());
  return Array.from(validators, validator => hexOf(typeof validator === 'string' ? validator.trim() : validator));
}

export function stuckAgeMs(config) {
  return milliseconds(config, ['maxStuckDutiesAgeMs'], kDefaultStuckAgeMs);
}

/**
 * Checks the config and makes the signer's settings.
 *
 * A sign call never takes longer than half the stuck-duty age; retention is rounded up to whole hours.
 */
export function signerSettings(config) {
  if (isOlderConfig(config) && !config.haSigningEnabled)
    throw new Error('Validator HA Signer is not enabled in config');
  if (!config.nodeId) throw new Error('NODE_ID is required for high-availability setups');
  const rollup = rollupOf(config);
  if (!rollup) {
    throw new Error(
      'The rollup address is missing: set rollupAddress (or l1Contracts.rollupAddress), or the variable ROLLUP_CONTRACT_ADDRESS',
    );
  }
  const stuckAge = stuckAgeMs(config);
  const coreStuckAge = Math.max(kShortestStuckAgeMs, Math.ceil(stuckAge));
  const call = milliseconds(config, ['signerCallTimeoutMs', 'signingOperationTimeoutMs'], defaults.signerCallTimeoutMs);
  const attempt = milliseconds(config, ['attemptTimeoutMs'], defaults.attemptTimeoutMs);
  const retention = retentionMs(config);
  const claimDelay = milliseconds(config, ['claimDelayMs'], claimDelayOfEnvironment());
  return {
    nodeId: config.nodeId,
    rollup: hexOf(rollup),
    pollingIntervalMs: Math.max(1, Math.floor(milliseconds(config, ['pollingIntervalMs'], defaults.pollingIntervalMs))),
    peerSigningTimeoutMs: Math.max(
      1,
      Math.floor(milliseconds(config, ['peerSigningTimeoutMs', 'signingTimeoutMs'], defaults.signingTimeoutMs)),
    ),
    signerCallTimeoutMs: Math.max(1, Math.floor(Math.min(call, stuckAge / 2))),
    attemptTimeoutMs: Math.max(1, Math.floor(Math.min(attempt, coreStuckAge - 1))),
    maxStuckDutiesAgeMs: coreStuckAge,
    claimDelayMs: Math.ceil(claimDelay),
    preferredValidators: preferredValidators(config),
    signFirst: config.signFirst === true,
    checkSignatures: config.checkSignatures === true,
    returnRecorded: protectedTypes(config.returnRecorded ?? []),
    storageReplicates: config.storageReplicates ?? isTrue(process.env.HA_SIGNER_STORAGE_REPLICATES),
    retentionHours: retention === undefined ? undefined : Math.max(1, Math.ceil(retention / 3_600_000)),
  };
}
