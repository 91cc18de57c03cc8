// What a node of 5.x does with the package, under both scopes: sign.mjs DATABASE_URL DATABASE_URL DATA_DIRECTORY
// Fails at the first difference. Tables are made by the first step.

import assert from 'node:assert/strict';

import pg from 'pg';

const [urlOfFirst, urlOfSecond, dataDirectory] = process.argv.slice(2);

/** As the node's configuration gives it. */
class SecretValue {
  #value;
  constructor(value) {
    this.#value = value;
  }
  getValue() {
    return this.#value;
  }
}

const entries = [
  'config',
  'db',
  'db/lmdb',
  'errors',
  'factory',
  'metrics',
  'migrations',
  'slashing-protection-service',
].concat(['types', 'validator-ha-signer']);

async function tryScope(scope, url) {
  const loaded = await Promise.all(entries.map(entry => import(`${scope}/validator-ha-signer/${entry}`)));
  const { createHASigner, createLocalSignerWithProtection, runMigrations, ValidatorHASigner, ...ours } = Object.assign(
    {},
    ...loaded,
  );
  const { EthAddress } = await import(`${scope}/foundation/eth-address`);
  const { Buffer32 } = await import(`${scope}/foundation/buffer`);
  const { Secp256k1Signer } = await import(`${scope}/foundation/crypto/secp256k1-signer`);

  assert.deepEqual(await runMigrations(url), ['1_initial-schema', '2_add-checkpoint-number']);
  assert.equal(ours.SCHEMA_VERSION, 2);

  const key = new Secp256k1Signer(Buffer32.fromString(`0x${'00'.repeat(31)}07`));
  const rollupAddress = EthAddress.fromString(`0x${'5f'.repeat(20)}`);
  const config = { rollupAddress, pollingIntervalMs: 20, peerSigningTimeoutMs: 500, signerCallTimeoutMs: 5000 };
  const configOf = nodeId => ({ ...config, nodeId, databaseUrl: new SecretValue(url) });
  const sign = async hash => key.sign(hash);
  const told = [];
  const meter = {
    createUpDownCounter: ({ name }) => ({ add: () => told.push(name) }),
    createHistogram: () => ({ record() {} }),
  };
  const deps = { telemetryClient: { getMeter: () => meter }, dateProvider: { now: () => Date.now() } };

  const { signer: first } = await createHASigner(configOf('first'), deps);
  const { signer: second, db } = await createHASigner(configOf('second'), {
    ...deps,
    pool: new pg.Pool({ connectionString: url }),
  });
  await Promise.all([first.start(), second.start()]);
  const contexts = [
    { dutyType: 'BLOCK_PROPOSAL', slot: 1, blockNumber: 7, checkpointNumber: 3, blockIndexWithinCheckpoint: 0 },
    { dutyType: 'BLOCK_PROPOSAL', slot: 1, blockNumber: 8, checkpointNumber: 3, blockIndexWithinCheckpoint: 1 },
    { dutyType: 'CHECKPOINT_PROPOSAL', slot: 1, checkpointNumber: 3 },
    { dutyType: 'ATTESTATION', slot: 1, checkpointNumber: 3 },
    { dutyType: 'ATTESTATIONS_AND_SIGNERS', slot: 1, checkpointNumber: 3 },
    { dutyType: 'GOVERNANCE_VOTE', slot: 1 },
    { dutyType: 'SLASHING_VOTE', slot: 1 },
  ];
  for (const context of contexts) {
    const hash = Buffer32.random();
    const both = await Promise.allSettled(
      [first, second].map(signer => signer.signWithProtection(key.address, hash, context, sign)),
    );
    const [winner] = both.filter(({ status }) => status === 'fulfilled');
    const [loser] = both.filter(({ status }) => status === 'rejected');
    assert.equal(winner.value.toString(), key.sign(hash).toString(), context.dutyType);
    assert.ok(loser.reason instanceof ours.DutyAlreadySignedError, String(loser.reason));
    await assert.rejects(
      first.signWithProtection(key.address, Buffer32.random(), context, sign),
      ours.SlashingProtectionError,
    );
  }
  const { rows } = await new pg.Pool({ connectionString: url, allowExitOnIdle: true }).query(
    `select duty_type, block_number::int, checkpoint_number::int from validator_duties where status = 'signed' order by 1, 2`,
  );
  assert.deepEqual(
    rows.map(row => Object.values(row).join()),
    [
      'ATTESTATION,0,3',
      'ATTESTATIONS_AND_SIGNERS,0,3',
      'BLOCK_PROPOSAL,7,3',
      'BLOCK_PROPOSAL,8,3',
      'CHECKPOINT_PROPOSAL,0,3',
      'GOVERNANCE_VOTE,0,0',
      'SLASHING_VOTE,0,0',
    ],
  );
  const { isNew, record } = await db.tryInsertOrGetExisting({
    rollupAddress,
    validatorAddress: key.address,
    slot: 1,
    dutyType: 'ATTESTATION',
    blockNumber: 0,
    checkpointNumber: 3,
    messageHash: Buffer32.random().toString(),
    nodeId: 'first',
  });
  assert.ok(!isNew && record.validatorAddress instanceof EthAddress && record.validatorAddress.equals(key.address));
  assert.equal(record.checkpointNumber, 3);
  assert.ok(told.includes('aztec.ha_signer.signing_success_count'));
  await Promise.all([first.stop(), second.stop()]);

  const local = { ...config, dataDirectory: `${dataDirectory}/${scope}` };
  for (const [slot, repeated] of [
    [1, false],
    [1, true],
  ]) {
    const { signer } = await createLocalSignerWithProtection(local, deps);
    const hash = Buffer32.fromString(`0x${'11'.repeat(32)}`);
    const done = signer.signWithProtection(
      key.address,
      hash,
      { dutyType: 'ATTESTATION', slot, checkpointNumber: 3 },
      sign,
    );
    await (repeated ? assert.rejects(done, ours.DutyAlreadySignedError) : done);
    await signer.stop();
  }
}

await tryScope('@aztec', urlOfFirst);
await tryScope('@aztec-labs', urlOfSecond);
console.log(`${process.version}: signs and refuses under both scopes`);
