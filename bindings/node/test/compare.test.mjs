// The published package and this one, call by call: the same random operations on a database each, on schema 1. Results,
// errors and table contents are compared. A difference that is not a known fault of the published package fails the test.
//
// A seed replays a run: COMPARE_SEED=…, COMPARE_SEQUENCES=… (default 300 sequences of 12 operations).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Buffer32 } from '@aztec/foundation/buffer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { Signature } from '@aztec/foundation/eth-signature';
import pg from 'pg';
import { runMigrations } from 'ha-signer/migrations';

import { PostgresServer } from './support.mjs';

const kSequences = Number(process.env.COMPARE_SEQUENCES ?? 300);
const kOperations = 12;
const kSeed = Number(process.env.COMPARE_SEED ?? Date.now() % 1e9);

const packages = {};
let server;

async function packageOf(name) {
  const [db, errors, service, signer, types] = await Promise.all(
    ['db', 'errors', 'slashing-protection-service', 'validator-ha-signer', 'types'].map(
      entry => import(`${name}/${entry}`),
    ),
  );
  return { ...db, ...errors, ...service, ...signer, ...types };
}

before(async () => {
  server = await PostgresServer.start();
  packages.ours = await packageOf('ha-signer');
  packages.theirs = await packageOf('@aztec/validator-ha-signer');
});
after(() => server.remove());

/** mulberry32 */
function randomFrom(seed) {
  let state = seed >>> 0;
  return limit => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

const address = byte => EthAddress.fromString(`0x${byte.toString(16).padStart(2, '0').repeat(20)}`);
const hash = byte => Buffer32.fromString(`0x${byte.toString(16).padStart(2, '0').repeat(32)}`);
const signature = byte => new Signature(hash(byte), hash(byte + 1), 27);
const kTypes = [
  'BLOCK_PROPOSAL',
  'CHECKPOINT_PROPOSAL',
  'ATTESTATION',
  'ATTESTATIONS_AND_SIGNERS',
  'GOVERNANCE_VOTE',
  'SLASHING_VOTE',
];
const kRollups = [address(1), address(2)];
const kNodes = ['node-a', 'node-b'];

/** One operation, as words that both sides carry out. Few duties, so that operations meet. */
function operation(random, types) {
  const dutyType = types[random(types.length)];
  const seldom = () => (random(5) === 0 ? 1 : 0);
  const duty = {
    rollup: seldom(),
    validator: seldom(),
    slot: seldom() + 1,
    asBigint: random(2) === 1,
    dutyType,
    index: seldom(),
    blockNumber: random(3),
    hash: random(2) + 10,
    node: random(2),
    signature: random(3) + 20,
    token: random(4),
  };
  const names = [
    'sign',
    'sign',
    'sign',
    'signFails',
    'check',
    'check',
    'record',
    'record',
    'remove',
    'insert',
    'update',
    'updateWrong',
    'deleteRow',
    'stuckOfUnknownNode',
  ];
  return { name: names[random(names.length)], ...duty };
}

class Side {
  #signers = new Map();
  #tokens = [];

  constructor(kit, url) {
    this.kit = kit;
    this.pool = new pg.Pool({ connectionString: url });
    this.db = new kit.PostgresSlashingProtectionDatabase(this.pool);
  }

  configOf(operation) {
    return {
      haSigningEnabled: true,
      nodeId: kNodes[operation.node],
      pollingIntervalMs: 5,
      signingTimeoutMs: 25,
      maxStuckDutiesAgeMs: 144_000,
      l1Contracts: { rollupAddress: kRollups[operation.rollup] },
    };
  }

  #of(operation, Class) {
    const name = `${Class.name} ${operation.node} ${operation.rollup}`;
    if (!this.#signers.has(name)) this.#signers.set(name, new Class(this.db, this.configOf(operation)));
    return this.#signers.get(name);
  }

  #key(o) {
    const slot = o.asBigint ? BigInt(o.slot) : o.slot;
    const key = {
      rollupAddress: kRollups[o.rollup],
      validatorAddress: address(o.validator + 8),
      slot,
      dutyType: o.dutyType,
    };
    return o.dutyType === 'BLOCK_PROPOSAL' ? { ...key, blockIndexWithinCheckpoint: o.index } : key;
  }

  #keyArguments(o) {
    const { rollupAddress, validatorAddress, slot, dutyType } = this.#key(o);
    return [rollupAddress, validatorAddress, slot, dutyType, o.dutyType === 'BLOCK_PROPOSAL' ? o.index : -1];
  }

  #token(o) {
    return this.#tokens[this.#tokens.length - 1 - (o.token % 3)] ?? 'none';
  }

  async run(o) {
    const { ValidatorHASigner, SlashingProtectionService } = this.kit;
    const { rollupAddress: _, validatorAddress, ...context } = this.#key(o);
    const params = {
      ...this.#key(o),
      blockNumber: o.blockNumber,
      messageHash: hash(o.hash).toString(),
      nodeId: kNodes[o.node],
    };
    const [rollup, validator, slot, type, index] = this.#keyArguments(o);
    switch (o.name) {
      case 'sign':
        return this.#of(o, ValidatorHASigner).signWithProtection(
          validatorAddress,
          hash(o.hash),
          { ...context, blockNumber: o.blockNumber },
          async () => signature(o.signature),
        );
      case 'signFails':
        return this.#of(o, ValidatorHASigner).signWithProtection(
          validatorAddress,
          hash(o.hash),
          { ...context, blockNumber: o.blockNumber },
          async () => {
            throw new TypeError('cannot sign');
          },
        );
      case 'check':
        this.#tokens.push(await this.#of(o, SlashingProtectionService).checkAndRecord(params));
        return 'a token';
      case 'record':
        return this.#of(o, SlashingProtectionService).recordSuccess({
          ...params,
          signature: signature(o.signature),
          lockToken: this.#token(o),
        });
      case 'remove':
        return this.#of(o, SlashingProtectionService).deleteDuty({ ...params, lockToken: this.#token(o) });
      case 'insert': {
        const { isNew, record } = await this.db.tryInsertOrGetExisting(params);
        if (isNew) this.#tokens.push(record.lockToken);
        return { isNew, record: shown(record) };
      }
      case 'update':
        return this.db.updateDutySigned(
          rollup,
          validator,
          slot,
          type,
          signature(o.signature).toString(),
          this.#token(o),
          index,
        );
      case 'updateWrong':
        return this.db.updateDutySigned(
          rollup,
          validator,
          slot,
          type,
          signature(o.signature).toString(),
          'wrong',
          index,
        );
      case 'deleteRow':
        return this.db.deleteDuty(rollup, validator, slot, type, this.#token(o), index);
      case 'stuckOfUnknownNode':
        return this.db.cleanupOwnStuckDuties('unknown', 1);
    }
    throw new Error(o.name);
  }

  async rows() {
    const { rows } = await this.pool.query(
      `select rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status, message_hash,
              signature, node_id, length(lock_token), completed_at is null, error_message
       from validator_duties order by 1, 2, 3, 6, 5`,
    );
    return rows;
  }

  async clear() {
    this.#tokens = [];
    await this.pool.query('delete from validator_duties; delete from ha_signer_watermarks');
  }

  async stop() {
    for (const signer of this.#signers.values()) await signer.stop().catch(() => {}); // The published one ends its pool twice.
    await this.db.close().catch(() => {});
  }
}

function shown(record) {
  const { startedAt, completedAt, lockToken, ...rest } = record;
  return JSON.parse(
    JSON.stringify({
      ...rest,
      startedAt: startedAt instanceof Date,
      completedAt: completedAt && completedAt instanceof Date,
      lockToken: lockToken === '' ? '' : lockToken.length,
    }),
  );
}

async function outcomeOf(promise) {
  try {
    const value = await promise;
    return { value: value instanceof Signature ? value.toString() : value };
  } catch (error) {
    const { signature: _stored, ...fields } = error;
    return {
      error: error.constructor.name,
      message: error.message,
      fields: JSON.parse(JSON.stringify(fields, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))),
    };
  }
}

/**
 * Whether the difference is a known fault of the published package that these operations can meet: it reports a duty as
 * signed when another node holds it and does not finish. This package takes the duty over for the same data.
 */
function isKnownFault(o, theirs, ours) {
  const gaveUp = theirs.error === 'DutyAlreadySignedError' && theirs.fields.signedByNode === 'unknown (timeout)';
  const signed = ours.value !== undefined || ours.message === 'cannot sign';
  return gaveUp && o.name.startsWith('sign') && signed;
}

test(
  `${kSequences} sequences of ${kOperations} operations end alike (seed ${kSeed})`,
  { timeout: 900_000 },
  async () => {
    const sides = [];
    for (const name of ['theirs', 'ours']) {
      const url = server.url(server.emptyDatabase());
      await runMigrations(url);
      sides.push(new Side(packages[name], url));
    }
    const [theirs, ours] = sides;
    const counts = { operations: 0, values: 0, errors: 0, knownFaults: 0 };
    for (let sequence = 0; sequence < kSequences; ++sequence) {
      const random = randomFrom(kSeed + sequence);
      await Promise.all(sides.map(side => side.clear()));
      const history = [];
      const types = [kTypes[random(kTypes.length)], kTypes[random(kTypes.length)]];
      for (let i = 0; i < kOperations; ++i) {
        const o = operation(random, types);
        history.push(o);
        const [expected, found] = await Promise.all([outcomeOf(theirs.run(o)), outcomeOf(ours.run(o))]);
        counts.operations++;
        counts[expected.error ? 'errors' : 'values']++;
        if (isKnownFault(o, expected, found)) {
          counts.knownFaults++;
          break; // From here on the tables differ.
        }
        assert.deepEqual(found, expected, `sequence seed ${kSeed + sequence}: ${JSON.stringify(history)}`);
        assert.deepEqual(
          await ours.rows(),
          await theirs.rows(),
          `sequence seed ${kSeed + sequence}: ${JSON.stringify(history)}`,
        );
      }
    }
    console.log(`compared: ${JSON.stringify(counts)}`);
    assert.ok(counts.errors > counts.operations / 20 && counts.values > counts.operations / 3);
    for (const side of sides) await side.stop();
  },
);
