// Helpers, constants and types; and that tsc --strict accepts what is written for the published package.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';

import { getConfigFromMappings } from '@aztec/foundation/config';

const require = createRequire(import.meta.url);
const newerEntries = ['db/lmdb', 'metrics'];
const entries = [
  'config',
  'db',
  'errors',
  'factory',
  'migrations',
  'slashing-protection-service',
  'types',
  'validator-ha-signer',
  'test',
];
const both = async entry => [await import(`ha-signer/${entry}`), await import(`@aztec/validator-ha-signer/${entry}`)];

test('the entry points are those of the published package, and each exports what that one does', async () => {
  const published = JSON.parse(readFileSync('node_modules/@aztec/validator-ha-signer/package.json', 'utf8'));
  assert.deepEqual(entries.map(entry => `./${entry}`).sort(), Object.keys(published.exports).sort());
  for (const entry of entries) {
    const [ours, theirs] = await both(entry);
    const missing = Object.keys(theirs).filter(name => !(name in ours));
    assert.deepEqual(missing, [], entry);
  }
  // Those of newer releases.
  const manifest = JSON.parse(readFileSync('node_modules/ha-signer/package.json', 'utf8'));
  const own = ['./package.json', ...newerEntries.map(entry => `./${entry}`)];
  assert.deepEqual(Object.keys(manifest.exports).sort(), [...Object.keys(published.exports), ...own].sort());
  const { createLocalSignerWithProtection, createSharedSlashingProtectionDb, createSignerFromSharedDb } =
    await import('ha-signer/factory');
  for (const f of [createLocalSignerWithProtection, createSharedSlashingProtectionDb, createSignerFromSharedDb])
    assert.equal(typeof f, 'function');
});

test('metrics are told to a telemetry client under the published names', async () => {
  const { HASignerMetrics } = await import('ha-signer/metrics');
  const told = [];
  const instrument = ({ name }) => {
    const tell = (value, attributes) => told.push([name, value, attributes]);
    return { add: tell, record: tell };
  };
  const meter = { createUpDownCounter: instrument, createHistogram: instrument };
  const metrics = new HASignerMetrics({ getMeter: () => meter }, 'node-1');
  metrics.recordSigningSuccess('ATTESTATION', 12);
  metrics.recordRecordedReturned('ATTESTATION');
  metrics.recordDutyAlreadySigned('ATTESTATION');
  metrics.recordSlashingProtection('ATTESTATION');
  metrics.recordSigningError('ATTESTATION');
  metrics.recordLockAcquire(false);
  metrics.recordLockAcquire(true);
  metrics.recordCleanup('stuck', 2);
  metrics.recordCleanup('old', 3);
  metrics.recordCleanup('outdated_rollup', 4);
  const node = { 'aztec.ha_signer.node_id': 'node-1' };
  const typed = { ...node, 'aztec.ha_signer.duty_type': 'ATTESTATION' };
  assert.deepEqual(told, [
    ['aztec.ha_signer.signing_success_count', 1, typed],
    ['aztec.ha_signer.signing_duration', 12, typed],
    ['ha_signer.recorded_returned_count', 1, typed],
    ['aztec.ha_signer.duty_already_signed_count', 1, typed],
    ['aztec.ha_signer.slashing_protection_count', 1, typed],
    ['aztec.ha_signer.signing_error_count', 1, typed],
    ['aztec.ha_signer.lock_acquired_count', 1, node],
    ['aztec.ha_signer.cleanup_stuck_duties_count', 2, node],
    ['aztec.ha_signer.cleanup_old_duties_count', 3, node],
    ['aztec.ha_signer.cleanup_outdated_rollup_duties_count', 4, node],
  ]);
});

test('types and helpers behave as the published ones', async () => {
  const [ours, theirs] = await both('types');
  assert.deepEqual({ ...ours.DutyType }, { ...theirs.DutyType });
  assert.deepEqual({ ...ours.DutyStatus }, { ...theirs.DutyStatus });
  const outcome = (f, ...args) => {
    try {
      return f(...args);
    } catch (error) {
      return error.message;
    }
  };
  for (const type of Object.values(ours.DutyType)) {
    for (const index of [undefined, -1, 0, 3]) {
      for (const [name, ...args] of [
        ['normalizeBlockIndex', type, index],
        ['getBlockIndexFromDutyIdentifier', { dutyType: type, blockIndexWithinCheckpoint: index }],
      ]) {
        assert.deepEqual(outcome(ours[name], ...args), outcome(theirs[name], ...args), `${name} ${args}`);
      }
    }
    const context = { dutyType: type, slot: 1, blockNumber: 50 };
    assert.equal(ours.isHAProtectedContext(context), theirs.isHAProtectedContext(context));
    if (ours.isHAProtectedContext(context))
      assert.equal(ours.getBlockNumberFromSigningContext(context), theirs.getBlockNumberFromSigningContext(context));
  }
  // Newer contexts of checkpoints carry no block number.
  assert.equal(ours.getBlockNumberFromSigningContext({ dutyType: 'ATTESTATION', slot: 1, checkpointNumber: 9 }), 0);
  assert.equal(
    ours.getCheckpointNumberFromSigningContext({ dutyType: 'ATTESTATION', slot: 1, checkpointNumber: 9 }),
    9,
  );
  assert.equal(ours.getCheckpointNumberFromSigningContext({ dutyType: 'SLASHING_VOTE', slot: 1 }), 0);
});

test('errors have the published names, fields and messages', async () => {
  const [ours, theirs] = await both('errors');
  const args = {
    DutyAlreadySignedError: [5n, 'ATTESTATION', -1, 'node-2'],
    SlashingProtectionError: [
      5,
      'BLOCK_PROPOSAL',
      3,
      `0x${'12345678'.repeat(8)}`,
      `0x${'9abcdef0'.repeat(8)}`,
      'node-2',
    ],
  };
  for (const [name, given] of Object.entries(args)) {
    const [a, b] = [new ours[name](...given), new theirs[name](...given)];
    assert.ok(a instanceof Error && a instanceof ours[name]);
    assert.deepEqual([a.name, a.message, { ...a }], [b.name, b.message, { ...b }]);
  }
  assert.match(new ours.SigningLockLostError(5, 'ATTESTATION', 'n').message, /ATTESTATION at slot 5 was lost .*node n/);
});

test('the config mapping names the same variables with the same defaults, for the mapping function of Aztec too', async () => {
  const [ours, theirs] = await both('config');
  const shape = mappings =>
    Object.fromEntries(
      Object.entries(mappings).map(([name, m]) => [
        name,
        [m.env, m.defaultValue, m.isBoolean, m.nested && Object.keys(m.nested)],
      ]),
    );
  assert.deepEqual(shape(ours.validatorHASignerConfigMappings), shape(theirs.validatorHASignerConfigMappings));
  assert.deepEqual(ours.defaultValidatorHASignerConfig, theirs.defaultValidatorHASignerConfig);
  const settings = {
    VALIDATOR_HA_SIGNING_ENABLED: 'true',
    VALIDATOR_HA_NODE_ID: 'n',
    VALIDATOR_HA_POLLING_INTERVAL_MS: '7',
    VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H: '24',
    VALIDATOR_HA_POOL_MAX: '3',
  };
  for (const environment of [{}, settings]) {
    Object.assign(process.env, environment);
    assert.deepEqual(ours.getConfigEnvVars(), theirs.getConfigEnvVars());
    assert.deepEqual(getConfigFromMappings(ours.validatorHASignerConfigMappings), theirs.getConfigEnvVars());
  }
  for (const name of Object.keys(settings)) delete process.env[name];
  process.env.VALIDATOR_HA_POOL_MAX = 'many';
  assert.throws(() => ours.getConfigEnvVars(), /VALIDATOR_HA_POOL_MAX is "many"/);
  delete process.env.VALIDATOR_HA_POOL_MAX;

  const { EthAddress } = await import('@aztec/foundation/eth-address');
  const good = {
    haSigningEnabled: true,
    l1Contracts: { rollupAddress: EthAddress.random() },
    nodeId: 'n',
    pollingIntervalMs: 1,
    signingTimeoutMs: 1,
  };
  for (const config of [
    good,
    { ...good, nodeId: 5 },
    { ...good, pollingIntervalMs: -1 },
    { ...good, l1Contracts: {} },
  ]) {
    assert.equal(
      ours.ValidatorHASignerConfigSchema.safeParse(config).success,
      theirs.ValidatorHASignerConfigSchema.safeParse(config).success,
    );
  }
});

test('tsc --strict accepts what is written for 4.1.2 and for 5.x, under either scope, and finds mistakes', () => {
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--target',
    'es2022',
    '--module',
    'nodenext',
    '--moduleResolution',
    'nodenext',
    '--types',
    'node',
  ];
  /** What it finds wrong: only the mistakes of mistaken.ts. */
  const findsOnlyMistakes = (paths, cwd = '.') => {
    try {
      execFileSync(process.execPath, [tsc, ...options, ...paths], { encoding: 'utf8', cwd });
      assert.fail('no mistake was found');
    } catch ({ stdout }) {
      const errors = stdout.split('\n').filter(line => line.includes('error TS'));
      assert.deepEqual(
        errors.filter(line => !line.includes('mistaken.ts')),
        [],
      );
      assert.deepEqual(
        errors.map(line => /TS\d+/.exec(line)[0]),
        ['TS2345', 'TS2322'],
      );
    }
  };
  findsOnlyMistakes(['test/types/for_published.ts', 'test/types/mistaken.ts']);

  // A project of 5.x whose packages have another scope.
  const project = mkdtempSync(join(tmpdir(), 'ha-signer-scope-'));
  const scope = join(project, 'node_modules/@aztec-labs');
  try {
    cpSync('node_modules/ha-signer/lib', join(scope, 'validator-ha-signer/lib'), { recursive: true });
    cpSync('node_modules/ha-signer/package.json', join(scope, 'validator-ha-signer/package.json'));
    for (const name of ['@types', 'pg', 'zod', '@electric-sql'])
      symlinkSync(resolve('node_modules', name), join(project, 'node_modules', name));
    symlinkSync(resolve('node_modules/@aztec/foundation'), join(scope, 'foundation'));
    for (const name of ['for_newer.ts', 'mistaken.ts'])
      writeFileSync(
        join(project, name),
        readFileSync(`test/types/${name}`, 'utf8')
          .replaceAll('@aztec/', '@aztec-labs/')
          .replaceAll(`'ha-signer/`, `'@aztec-labs/validator-ha-signer/`),
      );
    writeFileSync(join(project, 'package.json'), '{"type": "module"}');
    findsOnlyMistakes(['for_newer.ts', 'mistaken.ts'], project);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
});
