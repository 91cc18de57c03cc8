// What a process does after stop(), at its end, in worker threads; and that nothing is left of what is forgotten.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { runMigrations } from 'ha-signer/migrations';

import { PostgresServer } from './support.mjs';

let server;
let url;
before(async () => {
  server = await PostgresServer.start();
  const database = server.emptyDatabase();
  url = server.url(database);
  await runMigrations(url);
});
after(() => server.remove());

const program = fileURLToPath(new URL('lifecycle_program.mjs', import.meta.url));

/** Runs one scene of lifecycle_program.mjs: {code, signal, out, ms after the word "last"}. */
function play(scene, flags = []) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [...flags, program, scene, url], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let lastAt;
    const note = text => {
      out += text;
      if (out.includes('last')) lastAt ??= Date.now();
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    child.on('exit', (code, signal) => resolve({ code, signal, out, ms: Date.now() - lastAt }));
  });
}

async function endsWell(scene, flags) {
  const { code, signal, out, ms } = await play(scene, flags);
  assert.deepEqual([code, signal], [0, null], out);
  assert.ok(ms < 1500, `the process lived on for ${ms} ms`);
  return out;
}

test('after stop() nothing keeps the process alive, on connections of its own and on a pool', async () => {
  await endsWell('stop');
  await endsWell('stop-pool');
});
test('neither does a signer that was never stopped, once nothing is asked of it', () => endsWell('forget-to-stop'));
test('process.exit in mid-flight does no harm', async () => {
  for (let i = 0; i < 5; ++i) await endsWell('exit');
});
test('an uncaught error in mid-flight ends the process as ever', async () => {
  const { code, signal, out } = await play('throw');
  assert.deepEqual([code, signal], [1, null], out);
  assert.match(out, /thrown on purpose/);
});
test('worker threads have signers of their own, and may end or be ended at any time', () => endsWell('workers'));
test('modules that are loaded anew, as test runners do, work beside the old ones', () => endsWell('again'));
test('a signer that was garbage-collected gives its node id back', () => endsWell('garbage', ['--expose-gc']));
const sanitized = Boolean(process.env.NODE_TEST_PRELOAD);
test('signings leave nothing behind', { skip: sanitized && 'a sanitizer keeps what is freed' }, () =>
  endsWell('leak', ['--expose-gc']),
);
