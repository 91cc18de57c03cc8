// Drives the published package as its users do, from the shell.
//
//   published_migrate.mjs up|down URL                  its migration tool: prints the names as JSON
//   published_migrate.mjs initialize URL               what its signer checks at start: prints "ok"
//   published_migrate.mjs sign URL ROLLUP VALIDATOR N  signs the attestation of slot N
//   published_migrate.mjs forget URL                   its retention, with an age that every row has: prints the count
//
// An error is printed as "error: " and its message, with exit code 1. PUBLISHED_DIR names the folder where the package
// is installed; the package's own log goes to standard error.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const installed = createRequire(join(process.env.PUBLISHED_DIR, 'package.json'));
const load = name => import(pathToFileURL(installed.resolve(name)).href);
const published = entry => load(`@aztec/validator-ha-signer/${entry}`);

async function withDatabase(url, use) {
  const { PostgresSlashingProtectionDatabase } = await published('db');
  const { default: pg } = await load('pg');
  const db = new PostgresSlashingProtectionDatabase(new pg.Pool({ connectionString: url }));
  try {
    return await use(db);
  } finally {
    await db.close();
  }
}

async function migrate(direction, url) {
  const { runMigrations } = await published('migrations');
  return JSON.stringify(await runMigrations(url, { direction }));
}

async function sign(url, rollup, validator, slot) {
  const { ValidatorHASigner } = await published('validator-ha-signer');
  const { EthAddress } = await load('@aztec/foundation/eth-address');
  return withDatabase(url, async db => {
    await db.initialize();
    const signer = new ValidatorHASigner(db, {
      haSigningEnabled: true,
      nodeId: 'published-node',
      pollingIntervalMs: 10,
      signingTimeoutMs: 1000,
      l1Contracts: { rollupAddress: EthAddress.fromString(rollup) },
    });
    const context = { dutyType: 'ATTESTATION', slot: BigInt(slot), blockNumber: 1n };
    const hash = { toString: () => `0x${'5a'.repeat(32)}` };
    return signer.signWithProtection(EthAddress.fromString(validator), hash, context, async () => `0x${'5b'.repeat(65)}`);
  });
}

const commands = {
  up: url => migrate('up', url),
  down: url => migrate('down', url),
  initialize: url => withDatabase(url, db => db.initialize().then(() => 'ok')),
  sign,
  forget: url => withDatabase(url, db => db.cleanupOldDuties(-1000)),
};

const [command, ...args] = process.argv.slice(2);
try {
  if (!Object.hasOwn(commands, command)) {
    throw new Error(`unknown command ${command}; known: ${Object.keys(commands).join(', ')}`);
  }
  console.log(String(await commands[command](...args)));
} catch (error) {
  console.log(`error: ${error.message}`);
  process.exitCode = 1;
}
