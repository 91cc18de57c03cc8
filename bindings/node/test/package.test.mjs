// The package as it is packed: what its addon needs where it runs, and what its JavaScript imports.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const folder = 'node_modules/ha-signer';
const addon = join(folder, 'native/ha_signer.node');
const ask = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });

const isNewer = (a, b) => {
  const [x, y] = [a, b].map(text => text.split('.').map(Number));
  for (let i = 0; i < Math.max(x.length, y.length); ++i) if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  return false;
};

test('the addon needs only what Node.js itself needs, and glibc 2.36', { skip: process.env.NODE_TEST_PRELOAD }, () => {
  const needed = [...ask('readelf', '-d', addon).matchAll(/NEEDED.*\[(.*)\]/g)].map(([, name]) => name);
  const ofNode = /^(libc|libm|libdl|libpthread|libgcc_s|libstdc\+\+|ld-linux-[\w-]+)\.so/;
  assert.deepEqual(needed.filter(name => !ofNode.test(name)), []);
  const symbols = ask('objdump', '-T', addon);
  // Those of Debian 12 (GCC 12); Ubuntu 24.04 has newer ones.
  for (const [kind, newest] of Object.entries({ GLIBC: '2.36', GLIBCXX: '3.4.30', CXXABI: '1.3.13' })) {
    const versions = [...symbols.matchAll(new RegExp(`\\b${kind}_([0-9.]+)`, 'g'))].map(([, version]) => version);
    assert.ok(versions.length > 0, kind);
    assert.deepEqual(versions.filter(version => isNewer(version, newest)), [], kind);
  }
  // Node.js exports its own OpenSSL; the addon must neither take nor offer such symbols.
  assert.doesNotMatch(symbols, /\b(SSL_|EVP_|PQ|sqlite3_)\w+/);
  assert.match(readFileSync(join(folder, 'native/NOTICES'), 'utf8'), /PostgreSQL Global Development Group/);
});

test('nothing imports a package of Aztec by its name', () => {
  const sources = readdirSync(join(folder, 'lib'), { recursive: true }).filter(name => name.endsWith('.js'));
  for (const name of sources)
    assert.doesNotMatch(readFileSync(join(folder, 'lib', name), 'utf8'), /(from |import\(|require\()\s*['"`]@/, name);
  const { dependencies = {}, peerDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  assert.deepEqual(Object.keys({ ...dependencies, ...peerDependencies }).sort(), ['@electric-sql/pglite', 'zod']);
});
