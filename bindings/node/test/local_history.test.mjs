// The history that the published package 5.x has left in a data directory: createLocalSignerWithProtection imports it.
// liblmdb writes it, by the test program node_store; tests/interop/published_node_history does the same with the published code.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';

import { DutyAlreadySignedError, HASignerError, SlashingProtectionError } from 'ha-signer/errors';
import { createLocalSignerWithProtection } from 'ha-signer/factory';

import { attestation, kRollup, kSignature, kValidator, sleep } from './support.mjs';

const kNodeStore = process.env.NODE_STORE;
const kWho = ['--rollup', kRollup, '--validator', kValidator];
const hash = digit => `0x${digit.repeat(64)}`;
const signature = { toString: () => kSignature };
const sign = async () => signature;

const folders = [];
function dataDirectory() {
  folders.push(mkdtempSync(join(tmpdir(), 'ha-signer-history-')));
  return folders.at(-1);
}
after(() => folders.forEach(path => rmSync(path, { recursive: true, force: true })));

const historyIn = directory => join(directory, 'signing-protection');
const write = (directory, ...duties) => execFileSync(kNodeStore, [historyIn(directory), ...kWho, '--schema', '2', ...duties]);
const config = directory => ({
  dataDirectory: directory,
  rollupAddress: kRollup,
  pollingIntervalMs: 20,
  peerSigningTimeoutMs: 300,
  dataStoreMapSizeKb: 1024,
});

/** What a start says on standard error. */
async function startedSaying(directory) {
  const warn = mock.method(console, 'warn', () => {});
  try {
    const { signer } = await createLocalSignerWithProtection(config(directory));
    return { signer, said: warn.mock.calls.map(call => call.arguments.join(' ')) };
  } finally {
    warn.mock.restore();
  }
}

const content = directory =>
  readdirSync(historyIn(directory)).map(name => {
    const path = join(historyIn(directory), name);
    return [name, statSync(path).mtimeMs, readFileSync(path, 'base64')];
  });

function ask(directory, statement) {
  return execFileSync('sqlite3', [join(directory, 'signing-protection.sqlite'), statement], { encoding: 'utf8' }).trim();
}

test('what the published package has signed stays refused, and the folder stays as it is', async () => {
  const directory = dataDirectory();
  write(directory, '7:ATTESTATION:-1:signed:a', '9:ATTESTATION:-1:signed:b', '10:ATTESTATION:-1:signing:c');
  const before = content(directory);
  for (const round of [1, 2]) {
    const { signer, said } = await startedSaying(directory);
    assert.equal(said.length, round === 1 ? 1 : 0, 'it is imported once');
    if (round === 1) assert.match(said[0], /^ha-signer: imported the protection history in ".*" into this node.s database: 3 of 3 duties, 1 of them still signing, and 1 watermark$/);
    const attempt = (slot, digit) => signer.signWithProtection(kValidator, hash(digit), attestation(slot), sign);
    await assert.rejects(attempt(9, 'd'), SlashingProtectionError);
    await assert.rejects(attempt(9, 'b'), DutyAlreadySignedError);
    await assert.rejects(attempt(8, 'd'), /watermark/, 'what the folder does not have any more');
    await assert.rejects(attempt(10, 'd'), DutyAlreadySignedError, 'it may have been signed');
    assert.equal(await attempt(11 + round, 'd'), signature);
    if (round === 2) assert.equal(await attempt(10, 'c'), signature, 'the same data may be signed again');
    await signer.stop();
  }
  assert.deepEqual(content(directory), before);
});

test('without a history nothing is said', async () => {
  const { signer, said } = await startedSaying(dataDirectory());
  assert.deepEqual(said, []);
  await signer.stop();
});

test('what the published package signs after the import is imported, too', async () => {
  const directory = dataDirectory();
  write(directory, '7:ATTESTATION:-1:signed:a');
  await (await startedSaying(directory)).signer.stop();
  write(directory, '8:ATTESTATION:-1:signed:b');
  const { signer, said } = await startedSaying(directory);
  assert.match(said.join(), /1 of 2 duties/);
  await assert.rejects(
    signer.signWithProtection(kValidator, hash('d'), attestation(8), sign),
    SlashingProtectionError,
  );
  await signer.stop();
});

const refused = (directory, code, words) =>
  assert.rejects(createLocalSignerWithProtection(config(directory)), error => {
    assert.ok(error instanceof HASignerError, error);
    assert.deepEqual([error.code, words.test(error.message)], [code, true], error.message);
    return true;
  });

test('a start beside a history that cannot be read is refused', async () => {
  const directory = dataDirectory();
  write(directory, '7:ATTESTATION:-1:signed:a');
  const version = join(historyIn(directory), 'db_version');
  const data = join(historyIn(directory), 'data.mdb');
  const known = readFileSync(version);
  writeFileSync(version, '{"schemaVersion":4}');
  await refused(directory, 'incompatible', /schema version 4, but this program reads 1 to 3/);
  writeFileSync(version, 'x');
  await refused(directory, 'incompatible', /db_version" is not as the node writes it/);
  writeFileSync(version, known);
  const sound = readFileSync(data);
  for (const size of [0, 100, 5000]) {
    truncateSync(data, size);
    await refused(directory, 'incompatible', /data.mdb" cannot be read: /);
  }
  rmSync(data);
  await refused(directory, 'incompatible', /has no data.mdb: put the file back/);
  assert.equal(ask(directory, 'select count(*) from validator_duties'), '0');
  writeFileSync(data, sound);
  await (await startedSaying(directory)).signer.stop();
  assert.equal(ask(directory, 'select count(*) from validator_duties'), '1');
});

test('a history that contradicts what was signed here is refused whole', async () => {
  const directory = dataDirectory();
  const { signer } = await startedSaying(directory);
  await signer.signWithProtection(kValidator, hash('e'), attestation(7), sign);
  await signer.stop();
  write(directory, '7:ATTESTATION:-1:signed:a', '8:ATTESTATION:-1:signed:a');
  await refused(directory, 'incompatible', /other data for the same duty; nothing was imported.*for slot 7/s);
  assert.equal(ask(directory, 'select count(*) from validator_duties'), '1');
});

test('a start beside a live node is refused, also once its history was imported', async () => {
  const directory = dataDirectory();
  write(directory, '7:ATTESTATION:-1:signed:a');
  for (const round of [1, 2]) {
    const node = spawn(kNodeStore, [historyIn(directory), ...kWho, '--hold'], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise(resolve => node.stdout.once('data', resolve));
    await refused(directory, 'unavailable', /a node works on ".*signing-protection".*stop that node first/);
    node.stdin.end();
    await new Promise(resolve => node.once('exit', resolve));
    await (await startedSaying(directory)).signer.stop();
    assert.equal(ask(directory, 'select count(*) from validator_duties'), '1', `round ${round}`);
  }
});

const kProgram = `
  import { createLocalSignerWithProtection } from 'ha-signer/factory';
  await createLocalSignerWithProtection(JSON.parse(process.argv[1]));
  process.exit(0);`;

function start(directory) {
  const given = ['--input-type=module', '--eval', kProgram, JSON.stringify(config(directory))];
  const child = spawn(process.execPath, given, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', text => (said += text));
  const ended = new Promise(resolve => child.once('exit', code => resolve({ code, said })));
  return { child, ended };
}

/** The number of duties, and whether the import is noted; undefined before the tables are made. */
function imported(directory) {
  if (!existsSync(join(directory, 'signing-protection.sqlite'))) return undefined;
  try {
    return ask(directory, 'select (select count(*) from validator_duties), (select count(*) from ha_signer_imports)');
  } catch {
    return undefined;
  }
}

test('a start that is killed has imported everything or nothing', async () => {
  const directory = dataDirectory();
  write(directory, '--count', '20000');
  const startedAt = performance.now();
  await start(directory).ended;
  const wholeMs = performance.now() - startedAt;
  assert.equal(imported(directory), '20000|1');

  const seen = new Map();
  for (let round = 0; round < 80 && !(seen.get('0|0') >= 3); ++round) {
    const files = readdirSync(directory).filter(name => name.startsWith('signing-protection.'));
    for (const name of files) rmSync(join(directory, name));
    const { child, ended } = start(directory);
    await sleep(wholeMs * (0.3 + 0.8 * Math.random()));
    child.kill('SIGKILL');
    await ended;
    const found = imported(directory);
    assert.ok([undefined, '0|0', '20000|1'].includes(found), found);
    seen.set(found, (seen.get(found) ?? 0) + 1);
  }
  assert.ok(seen.get('0|0') > 0, `some were killed in between: ${[...seen]}`);
  const { code, said } = await start(directory).ended;
  assert.equal(code, 0, said);
  assert.equal(imported(directory), '20000|1');
});

test('processes that start at once import it once', async () => {
  const directory = dataDirectory();
  write(directory, '--count', '3000');
  const ends = await Promise.all([1, 2, 3].map(() => start(directory).ended));
  assert.deepEqual(ends.map(end => end.code), [0, 0, 0], ends.map(end => end.said).join());
  assert.equal(ends.filter(end => end.said.includes('3000 of 3000 duties')).length, 1);
  assert.equal(imported(directory), '3000|1');
});
