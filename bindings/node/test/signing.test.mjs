// A signer on the core's own connections to PostgreSQL: createHASigner({databaseUrl}).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Buffer32 } from '@aztec/foundation/buffer';
import { SecretValue } from '@aztec/foundation/config';
import { Secp256k1Signer } from '@aztec/foundation/crypto/secp256k1-signer';
import { EthAddress } from '@aztec/foundation/eth-address';
import { Signature } from '@aztec/foundation/eth-signature';
import { DutyAlreadySignedError, HASignerError, SlashingProtectionError } from 'ha-signer/errors';
import { createHASigner } from 'ha-signer/factory';
import { runMigrations } from 'ha-signer/migrations';

import {
  PostgresServer,
  attestation,
  kHash,
  kOtherHash,
  kRollup,
  kSignature,
  kValidator,
  randomAddress,
  sleep,
} from './support.mjs';

let server;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server.remove());

const signature = { toString: () => kSignature };
const sign = async () => signature;

async function migrated(to) {
  const database = server.emptyDatabase();
  await runMigrations(server.url(database), { to });
  return database;
}

function configOf(database, more = {}) {
  return {
    databaseUrl: server.url(database),
    haSigningEnabled: true,
    nodeId: 'node-1',
    pollingIntervalMs: 50,
    signingTimeoutMs: 1000,
    l1Contracts: { rollupAddress: EthAddress.fromString(kRollup) },
    ...more,
  };
}

/** What is signed by one statement: no row of it is ever *signing*. */
test('a sign function that may be called first is: one statement signs, and a duty that is lost destroys the signature', async () => {
  const database = await migrated();
  server.sql(
    `create function no_claims() returns trigger language plpgsql as $$
       begin if new.status = 'signing' then raise 'claimed'; end if; return new; end $$;
     create trigger no_claims before insert on validator_duties for each row execute function no_claims()`,
    database,
  );
  await withSigner(database, { signFirst: true }, async signer => {
    const result = await signer.signWithProtection(kValidator, Buffer32.fromString(kHash), attestation(1), sign);
    assert.equal(result, signature);
    let calls = 0;
    await assert.rejects(
      signer.signWithProtection(kValidator, Buffer32.fromString(kOtherHash), attestation(1), async () => {
        ++calls;
        return signature;
      }),
      SlashingProtectionError,
    );
    assert.equal(calls, 1);
  });
  assert.equal(server.sql("select status || ' ' || signature from validator_duties", database), `signed ${kSignature}`);
});

test('a server that does not tell its timeline is refused, and used where storage replicates', async () => {
  const database = await migrated();
  server.sql(
    `create schema managed;
     create function managed.pg_current_wal_lsn() returns pg_lsn language plpgsql as $$
       begin raise exception 'wal_level must be set to logical' using errcode = '55000'; end $$`,
    database,
  );
  const databaseUrl = `${server.url(database)}?options=-csearch_path%3Dmanaged,pg_catalog,public`;
  const signing = signer => signer.signWithProtection(kValidator, Buffer32.fromString(kHash), attestation(1), sign);
  await assert.rejects(withSigner(database, { databaseUrl }, signing), /does not tell its timeline/);
  assert.equal(await withSigner(database, { databaseUrl, storageReplicates: true }, signing), signature);
});

async function withSigner(database, more, use) {
  const { signer, db } = await createHASigner(configOf(database, more));
  try {
    return await use(signer, db);
  } finally {
    await signer.stop();
  }
}

const rows = (database, columns) => server.sql(`select ${columns} from validator_duties order by slot`, database);

test('the caller gets the same object that the sign function returned, once it is recorded', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    await signer.start();
    const validator = EthAddress.fromString(kValidator);
    const hash = Buffer32.fromString(kHash);
    const made = Signature.random();
    const signed = await signer.signWithProtection(validator, hash, attestation(5), async asked => {
      assert.equal(asked, hash);
      assert.equal(rows(database, 'status'), 'signing');
      return made;
    });
    assert.equal(signed, made);
    assert.equal(
      rows(database, 'status, signature, node_id, message_hash, block_number'),
      `signed|${made.toString()}|node-1|${kHash}|7`,
    );
  });
});

test('the same data is refused as signed already, with the stored signature; other data as slashing protection', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    await signer.signWithProtection(kValidator, kHash, attestation(5n), sign);
    const again = await signer.signWithProtection(kValidator, kHash, attestation(5n), sign).catch(error => error);
    assert.ok(again instanceof DutyAlreadySignedError);
    assert.equal(again.name, 'DutyAlreadySignedError');
    assert.equal(again.message, 'Duty ATTESTATION for slot 5 already signed by node node-1');
    assert.deepEqual(
      [again.slot, again.dutyType, again.blockIndexWithinCheckpoint, again.signedByNode, again.signature],
      [5n, 'ATTESTATION', -1, 'node-1', kSignature],
    );
    const other = await signer.signWithProtection(kValidator, kOtherHash, attestation(5), sign).catch(error => error);
    assert.ok(other instanceof SlashingProtectionError);
    assert.equal(
      other.message,
      'Slashing protection: ATTESTATION for slot 5 was already signed with different data. Existing: 0x11111111..., Attempted: 0x22222222...',
    );
    assert.deepEqual(
      [other.existingMessageHash, other.attemptedMessageHash, other.signedByNode],
      [kHash, kOtherHash, 'node-1'],
    );
  });
});

test('the recorded signature is the result where that is asked for, if it is the validator’s', async () => {
  const database = await migrated();
  const key = new Secp256k1Signer(Buffer32.fromString(`0x${'07'.repeat(32)}`));
  const hash = Buffer32.fromString(kHash);
  const told = [];
  const metrics = {
    recordSigningSuccess: () => told.push('success'),
    recordRecordedReturned: type => told.push(type),
    recordDutyAlreadySigned: () => told.push('refused'),
  };
  const { signer } = await createHASigner(configOf(database, { returnRecorded: ['ATTESTATION'] }), { metrics });
  const signed = message => signer.signWithProtection(key.address, message, attestation(1), async m => key.sign(m));
  try {
    const made = await signed(hash);
    const recorded = await signed(hash);
    assert.ok(recorded instanceof Signature);
    assert.ok(recorded.equals(made));
    await assert.rejects(signed(Buffer32.fromString(kOtherHash)), SlashingProtectionError);
    const forged = () => signer.signWithProtection(kValidator, hash, attestation(1), async () => made);
    await forged();
    await assert.rejects(forged(), DutyAlreadySignedError);
    assert.deepEqual(told, ['success', 'ATTESTATION', 'success', 'refused']);
  } finally {
    await signer.stop();
  }
  await assert.rejects(
    createHASigner(configOf(database, { returnRecorded: ['TXS'] })),
    /returnRecorded has TXS; it must have protected duty types only/,
  );
});

test('a recorded signature that is not the validator\'s is in no error where that is checked', async () => {
  const database = await migrated();
  const key = new Secp256k1Signer(Buffer32.fromString(`0x${'07'.repeat(32)}`));
  const hash = Buffer32.fromString(kHash);
  const forged = key.sign(Buffer32.fromString(kOtherHash));
  const refusal = async (signer, validator) =>
    signer.signWithProtection(validator, hash, attestation(1), async () => forged).then(
      () => undefined,
      error => error,
    );
  await withSigner(database, {}, async signer => {
    assert.equal(await refusal(signer, key.address), undefined);
    assert.ok((await refusal(signer, key.address)).signature, 'unchecked, it may be of any kind');
  });
  await withSigner(database, { checkSignatures: true }, async signer => {
    const error = await refusal(signer, key.address);
    assert.ok(error instanceof DutyAlreadySignedError);
    assert.equal(error.signature, undefined);
  });
});

test('the caller gets the error of the sign function, and the duty is released', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    const failure = new Error('the key is on holiday');
    for (const fails of [
      async () => Promise.reject(failure),
      () => {
        throw failure;
      },
    ]) {
      await assert.rejects(
        signer.signWithProtection(kValidator, kHash, attestation(5), fails),
        error => error === failure,
      );
    }
    await assert.rejects(
      signer.signWithProtection(kValidator, kHash, attestation(5), async () => Promise.reject(undefined)),
      error => error === undefined,
    );
    await assert.rejects(
      signer.signWithProtection(kValidator, kHash, attestation(5), async () => undefined),
      /not a signature/,
    );
    assert.equal(rows(database, 'slot'), '');
    assert.equal(await signer.signWithProtection(kValidator, kOtherHash, attestation(5), sign), signature);
  });
});

test('a sign call that takes too long is given up, and its late signature is not recorded', async () => {
  const database = await migrated();
  await withSigner(database, { signerCallTimeoutMs: 100 }, async signer => {
    let finish;
    const hangs = () => new Promise(resolve => (finish = resolve));
    await assert.rejects(signer.signWithProtection(kValidator, kHash, attestation(5), hangs), {
      message: 'Signing operation for ATTESTATION at slot 5 timed out after 100ms',
    });
    finish(signature);
    assert.equal(await signer.signWithProtection(kValidator, kOtherHash, attestation(5), sign), signature);
    assert.equal(rows(database, 'message_hash'), kOtherHash);
  });
});

test('a sign call never takes longer than half the stuck-duty age', async () => {
  await withSigner(await migrated(), { signingOperationTimeoutMs: 5000, maxStuckDutiesAgeMs: 400 }, signer =>
    assert.rejects(
      signer.signWithProtection(kValidator, kHash, attestation(5), () => new Promise(() => {})),
      /timed out after 200ms/,
    ),
  );
});

test('bad input is refused by the name of the field before anything is written', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    const proposal = index => ({
      dutyType: 'BLOCK_PROPOSAL',
      slot: 5,
      blockNumber: 1,
      blockIndexWithinCheckpoint: index,
    });
    const wrong = [
      ['validator address', '0x12', kHash, attestation(5)],
      ['message hash', kValidator, 'not a hash', attestation(5)],
      ['message hash', kValidator, new Uint8Array(31), attestation(5)],
      ['slot', kValidator, kHash, attestation(-1)],
      ['slot', kValidator, kHash, attestation(1.5)],
      ['slot', kValidator, kHash, attestation(2n ** 63n)],
      ['slot', kValidator, kHash, attestation('five')],
      ['slot', kValidator, kHash, attestation(undefined)],
      ['block number', kValidator, kHash, { ...attestation(5), blockNumber: -1 }],
      ['block index', kValidator, kHash, proposal(-1)],
      ['block index', kValidator, kHash, proposal(undefined)],
      ['duty type', kValidator, kHash, { ...attestation(5), dutyType: 'NONSENSE' }],
    ];
    for (const [field, validator, hash, context] of wrong) {
      const error = await signer.signWithProtection(validator, hash, context, sign).catch(e => e);
      assert.ok(error instanceof HASignerError && error.code === 'invalid_input', `${field}: ${error}`);
      assert.match(error.message, new RegExp(field));
    }
    assert.equal(rows(database, 'slot'), '');
  });
});

test('hex strings, bytes and objects name the same duty, numbers and bigints too, in both shapes of contexts', async () => {
  const database = await migrated(3);
  await withSigner(
    database,
    {
      l1Contracts: undefined,
      rollupAddress: kRollup.toUpperCase().replace('0X', '0x'),
      databaseUrl: new SecretValue(server.url(database)),
    },
    async signer => {
      const bytes = Buffer.from(kHash.slice(2), 'hex');
      await signer.signWithProtection(
        new Uint8Array(Buffer.from(kValidator.slice(2), 'hex')),
        bytes,
        attestation(5),
        sign,
      );
      for (const hash of [kHash, kHash.slice(2), Buffer32.fromString(kHash)]) {
        await assert.rejects(
          signer.signWithProtection(EthAddress.fromString(kValidator), hash, attestation(5n), sign),
          DutyAlreadySignedError,
        );
      }
      await signer.signWithProtection(
        kValidator,
        kHash,
        { dutyType: 'CHECKPOINT_PROPOSAL', slot: 6, checkpointNumber: 9 },
        sign,
      );
      await signer.signWithProtection(
        kValidator,
        kHash,
        { dutyType: 'GOVERNANCE_VOTE', slot: 7, blockNumber: 4 },
        sign,
      );
      await signer.signWithProtection(kValidator, kHash, { dutyType: 'AUTH_REQUEST' }, sign);
      assert.equal(rows(database, 'slot, block_number, checkpoint_number, expires_at'), '5|7|0|\n6|0|9|\n7|0|0|');
    },
  );
});

test('signing needs no start, and a thousand duties at once are signed once each', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    const validators = Array.from({ length: 1000 }, randomAddress);
    let calls = 0;
    await Promise.all(
      validators.map(validator =>
        signer.signWithProtection(validator, kHash, attestation(5), async () => (calls++, signature)),
      ),
    );
    assert.equal(calls, 1000);
    assert.equal(server.sql(`select count(*) from validator_duties where status = 'signed'`, database), '1000');
  });
});

test('while sign functions compute, the event loop gets its turns', async () => {
  await withSigner(await migrated(), {}, async signer => {
    let longestMs = 0;
    let last = performance.now();
    const watch = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last);
      last = performance.now();
    }, 1);
    const compute = async () => {
      const until = performance.now() + 1;
      while (performance.now() < until);
      return signature;
    };
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => signer.signWithProtection(kValidator, kHash, attestation(i), compute)),
    );
    clearInterval(watch);
    assert.ok(longestMs < 250, `the loop stood still for ${longestMs} ms`);
  });
});

test('a database that cannot be used is refused with the cause', async () => {
  const { signer } = await createHASigner(configOf(await migrated())); // to have something to stop
  await signer.stop();
  const refused = url => createHASigner(configOf('x', { databaseUrl: url })).catch(error => error);
  assert.match(
    (await refused(server.url(server.emptyDatabase()))).message,
    /^Database schema not initialized. Please run migrations first: aztec migrate-ha-db up --database-url <url>/,
  );
  assert.match((await refused(server.url('nowhere'))).message, /database "nowhere" does not exist/);
  await assert.rejects(
    createHASigner(configOf('x', { databaseUrl: undefined })),
    /databaseUrl is required for createHASigner/,
  );
  await assert.rejects(
    createHASigner(configOf(await migrated(), { nodeId: '' })),
    /NODE_ID is required for high-availability setups/,
  );
  await assert.rejects(
    createHASigner(configOf(await migrated(), { haSigningEnabled: false, nodeId: '' })),
    /Validator HA Signer is not enabled in config/,
  );
});

test('a second node under a live node id is refused at start', async () => {
  const database = await migrated();
  await withSigner(database, {}, async signer => {
    await signer.start();
    await withSigner(database, {}, async twin => {
      await assert.rejects(twin.start(), error => error.code === 'node_id_taken');
    });
    assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(5), sign), signature);
  });
});

test('a restarted server costs time and nothing else', async () => {
  const own = await PostgresServer.start();
  try {
    await runMigrations(own.url());
    const { signer } = await createHASigner({ ...configOf('x'), databaseUrl: own.url() });
    await signer.signWithProtection(kValidator, kHash, attestation(1), sign);
    const during = Array.from({ length: 50 }, (_, i) =>
      signer.signWithProtection(kValidator, kHash, attestation(10 + i), async () => (await sleep(20), signature)),
    );
    own.stop('immediate');
    own.run();
    assert.deepEqual(new Set(await Promise.all(during)), new Set([signature]));
    await signer.stop();
  } finally {
    own.remove();
  }
});

test('stopping twice, closing twice and stopping without start are harmless', async () => {
  const { signer, db } = await createHASigner(configOf(await migrated()));
  await Promise.all([signer.stop(), signer.stop()]);
  await signer.stop();
  await db.close();
  await assert.rejects(
    signer.signWithProtection(kValidator, kHash, attestation(5), sign),
    error => error.code === 'not_running',
  );
});

test('migrations go to what 4.1.2 demands, further when asked to, and back', async () => {
  const url = server.url(server.emptyDatabase());
  assert.deepEqual(await runMigrations(url), ['1_initial-schema']);
  assert.deepEqual(await runMigrations(url), []);
  assert.deepEqual(await runMigrations(url, { to: 3 }), ['2_add-checkpoint-number', '3_add-duty-expiry']);
  assert.deepEqual(await runMigrations(url, { direction: 'down' }), ['3_add-duty-expiry']);
  await assert.rejects(
    runMigrations('postgresql://postgres:secret@127.0.0.1:1/x'),
    error => !error.message.includes('secret'),
  );
});

test('a node that holds its claims back loses them to one that does not, and signs where that one is away', async () => {
  const database = await migrated();
  const delay = 600;
  const { signer: preferred } = await createHASigner(configOf(database, { nodeId: 'preferred' }));
  const { signer: reserve } = await createHASigner(configOf(database, { nodeId: 'reserve', claimDelayMs: delay }));
  await Promise.all([preferred.start(), reserve.start()]);
  const slots = Array.from({ length: 20 }, (_, i) => i + 1);
  const lost = Promise.allSettled(slots.map(slot => reserve.signWithProtection(kValidator, kOtherHash, attestation(slot), sign)));
  await Promise.all(slots.map(slot => preferred.signWithProtection(kValidator, kHash, attestation(slot), sign)));
  for (const { reason } of await lost) assert.ok(reason instanceof SlashingProtectionError, String(reason));
  await preferred.stop();
  const began = performance.now();
  await reserve.signWithProtection(kValidator, kOtherHash, attestation(21), sign);
  assert.ok(performance.now() - began >= delay - 1);
  await reserve.stop();
});

test('the claim delay may come from the environment, spares preferred validators, and leaves the time to sign', async () => {
  const database = await migrated();
  const timed = async more => {
    const { signer } = await createHASigner(configOf(database, more));
    await signer.start();
    const began = performance.now();
    await signer.signWithProtection(kValidator, kHash, attestation(Number(more.slot)), sign);
    await signer.stop();
    return performance.now() - began;
  };
  process.env.VALIDATOR_HA_CLAIM_DELAY_MS = '5000';
  process.env.HA_SIGNER_PREFERRED_VALIDATORS = ` ${kValidator} , ${randomAddress()}`;
  try {
    assert.ok((await timed({ slot: 1 })) < 5000);
    assert.ok((await timed({ slot: 2, preferredValidators: [randomAddress()], claimDelayMs: 300 })) >= 299);
  } finally {
    delete process.env.VALIDATOR_HA_CLAIM_DELAY_MS;
    delete process.env.HA_SIGNER_PREFERRED_VALIDATORS;
  }
  assert.ok((await timed({ slot: 3, preferredValidators: [kValidator], claimDelayMs: 5000 })) < 5000);
  await assert.rejects(timed({ slot: 4, claimDelayMs: 20_000 }), /claimDelayMs is '20000'/);
  await assert.rejects(timed({ slot: 4, claimDelayMs: 'soon' }), /claimDelayMs is soon/);
  await assert.rejects(timed({ slot: 4, preferredValidators: [kValidator] }), /preferredValidators is/);
  await assert.rejects(timed({ slot: 4, preferredValidators: ['0x12'], claimDelayMs: 1 }), /preferredValidators is '0x12'/);
});
