import { z } from 'zod';

import { native } from './core.js';
import { hexOf, isTrue } from './values.js';

const { defaults } = native;

function toNumber(name, text) {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number))
    throw new Error(`${name} is ${JSON.stringify(text)}; it must be a number`);
  return number;
}

const number = (env, description, defaultValue) => ({
  env,
  description,
  parseEnv: text => toNumber(env, text),
  ...(defaultValue === undefined ? {} : { defaultValue }),
});

export const validatorHASignerConfigMappings = {
  haSigningEnabled: {
    env: 'VALIDATOR_HA_SIGNING_ENABLED',
    description: 'Whether HA signing and slashing protection are enabled',
    parseEnv: isTrue,
    parseVal: isTrue,
    defaultValue: false,
    isBoolean: true,
  },
  l1Contracts: {
    description: 'L1 contract addresses; the rollup address is needed',
    nested: {
      rollupAddress: { description: 'The address of the rollup contract, set by the program', parseEnv: hexOf },
    },
  },
  nodeId: {
    env: 'VALIDATOR_HA_NODE_ID',
    description: 'The stable name of this node, unique in its cluster',
    defaultValue: '',
  },
  pollingIntervalMs: number(
    'VALIDATOR_HA_POLLING_INTERVAL_MS',
    'The longest pause between two polls of a duty that another node is signing, in ms',
    defaults.pollingIntervalMs,
  ),
  signingTimeoutMs: number(
    'VALIDATOR_HA_SIGNING_TIMEOUT_MS',
    "How long to wait for another node's signature, in ms",
    defaults.signingTimeoutMs,
  ),
  maxStuckDutiesAgeMs: number(
    'VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS',
    `The age in ms at which a duty that is still being signed counts as stuck (${defaults.maxStuckDutiesAgeMs} if not set)`,
  ),
  cleanupOldDutiesAfterHours: number(
    'VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H',
    'After how many hours signed duties are deleted (never if not set)',
  ),
  databaseUrl: {
    env: 'VALIDATOR_HA_DATABASE_URL',
    description: 'The PostgreSQL database: postgresql://user:password@host:port/database',
  },
  poolMaxCount: number('VALIDATOR_HA_POOL_MAX', 'The most connections at once', defaults.poolMaxCount),
  poolMinCount: number('VALIDATOR_HA_POOL_MIN', 'Idle connections that are kept', defaults.poolMinCount),
  poolIdleTimeoutMs: number(
    'VALIDATOR_HA_POOL_IDLE_TIMEOUT_MS',
    'After how many ms an idle connection is closed',
    defaults.poolIdleTimeoutMs,
  ),
  poolConnectionTimeoutMs: number(
    'VALIDATOR_HA_POOL_CONNECTION_TIMEOUT_MS',
    'The longest wait for a connection in ms (0: no limit of its own)',
    defaults.poolConnectionTimeoutMs,
  ),
};

function valuesOf(mappings, value) {
  const values = {};
  for (const [name, mapping] of Object.entries(mappings))
    values[name] = mapping.nested ? valuesOf(mapping.nested, value) : value(mapping);
  return values;
}

function fromEnvironment({ env, parseEnv, defaultValue }) {
  const text = env && process.env[env];
  if (text === undefined) return defaultValue;
  return parseEnv ? parseEnv(text) : text;
}

/** The defaults. */
export const defaultValidatorHASignerConfig = Object.fromEntries(
  Object.entries(validatorHASignerConfigMappings)
    .filter(([, { defaultValue }]) => defaultValue !== undefined)
    .map(([name, { defaultValue }]) => [name, defaultValue]),
);

/** The config from environment variables, with defaults for variables that are not set. */
export function getConfigEnvVars() {
  return valuesOf(validatorHASignerConfigMappings, fromEnvironment);
}

const isAddress = value => /^0x[0-9a-fA-F]{40}$/.test(hexOf(value));
const atLeastZero = z.number().min(0);

export const ValidatorHASignerConfigSchema = z.object({
  haSigningEnabled: z.boolean(),
  l1Contracts: z.object({ rollupAddress: z.custom(isAddress, 'an Ethereum address') }),
  nodeId: z.string(),
  pollingIntervalMs: atLeastZero,
  signingTimeoutMs: atLeastZero,
  maxStuckDutiesAgeMs: atLeastZero.optional(),
  cleanupOldDutiesAfterHours: atLeastZero.optional(),
  databaseUrl: z.string().optional(),
  poolMaxCount: atLeastZero.optional(),
  poolMinCount: atLeastZero.optional(),
  poolIdleTimeoutMs: atLeastZero.optional(),
  poolConnectionTimeoutMs: atLeastZero.optional(),
});
