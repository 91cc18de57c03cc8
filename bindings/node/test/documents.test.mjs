// The documented examples of the published package, as they stand; and the example project with its override.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { runMigrations } from 'ha-signer/migrations';

import { PostgresServer, kRollup } from './support.mjs';

let server;
const folder = mkdtempSync(join(tmpdir(), 'ha-signer-documents-'));
before(async () => {
  server = await PostgresServer.start();
});
after(() => {
  server.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Installs this package instead of the published one, as an override does. */
const kOverride = `
import { register } from 'node:module';
register('data:text/javascript,' + encodeURIComponent(\`
  export const resolve = (name, context, next) => next(name.replace(/^@aztec\\\\/validator-ha-signer\\\\//, 'ha-signer/'), context);
\`));`;

/** What the examples take for granted. */
const kAround = `
import { Buffer32 } from '@aztec/foundation/buffer';
import { Secp256k1Signer } from '@aztec/foundation/crypto/secp256k1-signer';
const localSigner = new Secp256k1Signer(Buffer32.fromString('0x' + '00'.repeat(31) + '01'));
const validatorAddress = localSigner.address;
const messageHash = Buffer32.random();
`;

function runExample(name, code, database) {
  writeFileSync(`${name}.mjs`, kAround + code);
  writeFileSync('override.mjs', kOverride);
  const env = { ...process.env, DATABASE_URL: server.url(database), ROLLUP_CONTRACT_ADDRESS: kRollup };
  return execFileSync(process.execPath, ['--import', './override.mjs', `${name}.mjs`], {
    encoding: 'utf8',
    env,
    timeout: 20_000,
  });
}

test('every example of the published README runs as it stands', async () => {
  const readme = readFileSync('node_modules/@aztec/validator-ha-signer/README.md', 'utf8');
  const examples = [...readme.matchAll(/```typescript\n([^]*?)```/g)].map(([, code]) => code);
  assert.equal(examples.length, 2);
  const database = server.emptyDatabase();
  await runMigrations(server.url(database));
  runExample('example_basic', `${examples[0]}\nconsole.log(signature.toString())`, database);
  runExample('example_pool', examples[1], database);
  assert.equal(
    server.sql('select slot, block_number, duty_type, status, node_id from validator_duties', database),
    '100|50|BLOCK_PROPOSAL|signed|validator-node-1',
  );
});

test('the example project signs through its override', { timeout: 120_000 }, () => {
  cpSync(process.env.EXAMPLE_PROJECT, folder, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: 'node_modules/ha-signer',
    encoding: 'utf8',
  }).trim();
  cpSync(join(folder, packed.split('\n').at(-1)), join(folder, 'ha-signer.tgz'));
  execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund'], { cwd: folder });
  const database = server.emptyDatabase();
  const said = execFileSync(process.execPath, ['main.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, DATABASE_URL: server.url(database) },
  });
  assert.equal(
    said,
    `signed: 0x${'11'.repeat(32)}${'22'.repeat(32)}1b\nrefused: Duty ATTESTATION for slot 100 already signed by node my-node\n`,
  );
});
