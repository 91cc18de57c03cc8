// The recipe of docs/migrating.md for the release image, run on a folder that is laid out as the image is.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import { PostgresServer } from './support.mjs';

const recipe = readFileSync(process.env.MIGRATING_DOCUMENT, 'utf8');
const [, dockerfile] = /```dockerfile\n([^]*?)```/.exec(recipe);
const kWorkspaces = {
  'validator-client': ['factory', 'errors', 'types'],
  'sequencer-client': ['errors', 'types'],
  aztec: ['migrations'],
};

let server;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server.remove());

/** `usr/src/yarn-project` of an image: workspaces, and Yarn's links to them. */
function makeImage(root, scope, { schemaVersion }) {
  const project = join(root, 'usr/src/yarn-project');
  const write = (path, content) => {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const workspace = (name, exports) =>
    write(`${name}/package.json`, { name: `${scope}/${name}`, version: '0.1.0', type: 'module', exports });
  workspace('validator-ha-signer', { './db': './dest/db/index.js', './package.json': './package.json' });
  write('validator-ha-signer/dest/db/schema.js', `export const SCHEMA_VERSION = ${schemaVersion};`);
  for (const [name, entries] of Object.entries(kWorkspaces)) {
    workspace(name, { '.': './dest/index.js' });
    const names = entries.map(entry => entry.replaceAll('-', '_'));
    write(
      `${name}/dest/index.js`,
      `${entries.map((entry, i) => `import * as ${names[i]} from '${scope}/validator-ha-signer/${entry}';`).join('\n')}
export { ${names.join(', ')} };\n`,
    );
  }
  mkdirSync(join(project, 'node_modules', scope), { recursive: true });
  for (const name of ['validator-ha-signer', ...Object.keys(kWorkspaces)])
    symlinkSync(`../../${name}`, join(project, 'node_modules', scope, name));
  cpSync('node_modules/zod', join(project, 'node_modules/zod'), { recursive: true });
  return project;
}

/** Runs the lines of the Dockerfile with the folder in the place of the image's root. */
function build(root, scope) {
  let workdir = root;
  const inRoot = text => text.replaceAll('/usr/src', `${root}/usr/src`);
  for (const line of dockerfile
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter(text => text && !text.startsWith('#'))) {
    const [, instruction, rest] = /^(\w+) (.*)$/.exec(line);
    if (instruction === 'WORKDIR') workdir = inRoot(rest);
    if (instruction === 'ADD') {
      const [file, target] = rest.split(' ');
      assert.match(file, /^ha-signer-.*\.tgz$/);
      execFileSync('tar', ['-xzf', 'ha-signer.tgz', '-C', inRoot(target)]);
    }
    if (instruction === 'RUN')
      execFileSync('sh', ['-ec', inRoot(rest)], { cwd: workdir, env: { ...process.env, SCOPE: scope } });
    assert.ok(['FROM', 'ARG', 'ENV', 'WORKDIR', 'ADD', 'RUN'].includes(instruction), line);
  }
}

for (const [scope, schemaVersion] of [
  ['@aztec', 1],
  ['@aztec', 2],
  ['@aztec-labs', 3],
]) {
  test(`the recipe puts one copy of this package in its place: ${scope}, schema ${schemaVersion}`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'ha-signer-image-'));
    try {
      const project = makeImage(root, scope, { schemaVersion });
      build(root, scope);
      const name = server.emptyDatabase();
      const program = join(project, 'aztec/dest/main.mjs');
      writeFileSync(
        program,
        `
const of = name => import('${scope}/' + name);
const [client, sequencer, aztec] = await Promise.all(['validator-client', 'sequencer-client', 'aztec'].map(of));
const url = process.argv[2];
console.log(JSON.stringify({
  applied: await aztec.migrations.runMigrations(url),
  isOneCopy: client.errors.DutyAlreadySignedError === sequencer.errors.DutyAlreadySignedError,
  isOurs: 'HASignerError' in client.errors,
}));
const { signer } = await client.factory.createHASigner({
  nodeId: 'n', rollupAddress: '0x' + '5f'.repeat(20), databaseUrl: { getValue: () => url }, pollingIntervalMs: 10, peerSigningTimeoutMs: 100,
});
const sign = () => signer.signWithProtection('0x' + '7e'.repeat(20), '0x' + '11'.repeat(32), { dutyType: 'GOVERNANCE_VOTE', slot: 5 }, () => '0x' + '5a'.repeat(64) + '1b');
await sign();
await sign().then(() => process.exit(1), error => console.log(JSON.stringify(error instanceof sequencer.errors.DutyAlreadySignedError)));
await signer.stop();
`,
      );
      const said = execFileSync(process.execPath, [program, server.url(name)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [first, refused] = said
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
      const migrations = ['1_initial-schema', '2_add-checkpoint-number', '3_add-duty-expiry'];
      assert.deepEqual(first, { applied: migrations.slice(0, schemaVersion), isOneCopy: true, isOurs: true });
      assert.equal(refused, true);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}
