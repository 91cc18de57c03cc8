// Protection on one machine: createLocalSignerWithProtection on SQLite.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { DutyAlreadySignedError, SlashingProtectionError } from 'ha-signer/errors';
import { createLocalSignerWithProtection } from 'ha-signer/factory';
import { SlashingProtectionService } from 'ha-signer/slashing-protection-service';

import { attestation, kHash, kOtherHash, kRollup, kSignature, kValidator } from './support.mjs';

const folders = [];
const folder = () => {
  folders.push(mkdtempSync(join(tmpdir(), 'ha-signer-local-')));
  return folders.at(-1);
};
after(() => folders.forEach(path => rmSync(path, { recursive: true, force: true })));

const signature = { toString: () => kSignature };
const sign = async () => signature;
const config = { pollingIntervalMs: 20, peerSigningTimeoutMs: 500, rollupAddress: kRollup, dataStoreMapSizeKb: 1024 };
const params = {
  rollupAddress: kRollup,
  validatorAddress: kValidator,
  slot: 9,
  blockNumber: 7,
  dutyType: 'ATTESTATION',
  messageHash: kHash,
  nodeId: 'local',
};

test('without a data directory it refuses, and says what to set', async () => {
  await assert.rejects(
    createLocalSignerWithProtection(config),
    /requires a persistent data directory.*DATA_DIRECTORY.*VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION/s,
  );
});

test('in memory where that is allowed', async () => {
  const { signer, db } = await createLocalSignerWithProtection({ ...config, allowEphemeralSigningProtection: true });
  assert.equal(await signer.signWithProtection(kValidator, kHash, attestation(1), sign), signature);
  await assert.rejects(
    signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign),
    SlashingProtectionError,
  );
  await signer.stop();
  await db.close();
});

test('a value that the core refuses is refused by the name of its option', async () => {
  const ephemeral = { ...config, allowEphemeralSigningProtection: true };
  for (const [option, value] of Object.entries({ pollingIntervalMs: 60_001, signingTimeoutMs: 86_400_001 })) {
    const given = { ...ephemeral, peerSigningTimeoutMs: undefined, [option]: value };
    const { signer, db } = await createLocalSignerWithProtection(given);
    const signing = signer.signWithProtection(kValidator, kHash, attestation(1), sign);
    await assert.rejects(signing, new RegExp(`${option} is '${value}', but must be`));
    await signer.stop();
    await db.close();
  }
});

test('what was signed is remembered after a restart; the node id is local unless it is given', async () => {
  const dataDirectory = join(folder(), 'below');
  for (const round of [1, 2]) {
    const { signer } = await createLocalSignerWithProtection({ ...config, dataDirectory });
    assert.equal(signer.nodeId, 'local');
    const refusal = await signer.signWithProtection(kValidator, kHash, attestation(1), sign).catch(error => error);
    if (round === 1) assert.equal(refusal, signature);
    if (round === 2)
      assert.ok(
        refusal instanceof DutyAlreadySignedError &&
          refusal.signature === kSignature &&
          refusal.signedByNode === 'local',
      );
    await assert.rejects(
      signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign),
      SlashingProtectionError,
    );
    await signer.stop();
  }
  assert.equal(statSync(join(dataDirectory, 'signing-protection.sqlite')).mode & 0o077, 0, 'for this user only');
});

test('an invalid signature is refused, and the duty is released', async () => {
  const { signer } = await createLocalSignerWithProtection({ ...config, dataDirectory: folder() });
  await assert.rejects(
    signer.signWithProtection(kValidator, kHash, attestation(1), async () => ({ toString: () => '0xsignature' })),
    /130 hexadecimal digits/,
  );
  assert.equal(await signer.signWithProtection(kValidator, kOtherHash, attestation(1), sign), signature);
  await signer.stop();
});

test("the database has the published class's methods, and the service works on it", async () => {
  const { signer, db } = await createLocalSignerWithProtection({ ...config, dataDirectory: folder() });
  const { isNew, record } = await db.tryInsertOrGetExisting(params);
  assert.ok(isNew && record.lockToken && record.startedAt instanceof Date);
  const again = await db.tryInsertOrGetExisting({ ...params, nodeId: 'other' });
  assert.deepEqual(
    [again.isNew, again.record.lockToken, again.record.status, again.record.nodeId],
    [false, '', 'signing', 'local'],
  );
  const update = token => db.updateDutySigned(kRollup, kValidator, 9, 'ATTESTATION', kSignature, token, -1);
  assert.deepEqual([await update('wrong'), await update(record.lockToken)], [false, true]);
  assert.equal(
    await db.deleteDuty(kRollup, kValidator, 9, 'ATTESTATION', record.lockToken, -1),
    false,
    'a signed duty stays',
  );
  assert.equal((await db.tryInsertOrGetExisting(params)).record.signature, kSignature);

  const service = new SlashingProtectionService(db, { ...config, nodeId: 'local' });
  const token = await service.checkAndRecord({ ...params, slot: 10 });
  assert.equal(await service.deleteDuty({ ...params, slot: 10, lockToken: token }), true);
  await assert.rejects(service.checkAndRecord(params), DutyAlreadySignedError);
  assert.equal(await db.cleanupOwnStuckDuties('local', 1), 0);
  await service.stop();
  await signer.stop();
});
