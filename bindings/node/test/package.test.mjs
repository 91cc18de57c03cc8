// The package as it is packed: what its addon needs where it runs, its own TLS, and what its JavaScript imports.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSecureContext } from 'node:tls';

import { createHASigner } from 'ha-signer/factory';
import { runMigrations } from 'ha-signer/migrations';

import { PostgresServer, kHash, kRollup, kSignature, kValidator } from './support.mjs';

const folder = 'node_modules/ha-signer';
const addon = join(folder, 'native/ha_signer.node');
const ask = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: 'pipe' });

const isNewer = (a, b) => {
  const [x, y] = [a, b].map(text => text.split('.').map(Number));
  for (let i = 0; i < Math.max(x.length, y.length); ++i)
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  return false;
};

test('the addon needs only what Node.js itself needs, and glibc 2.36', { skip: process.env.NODE_TEST_PRELOAD }, () => {
  const needed = [...ask('readelf', '-d', addon).matchAll(/NEEDED.*\[(.*)\]/g)].map(([, name]) => name);
  const ofNode = /^(libc|libm|libdl|libpthread|libgcc_s|libstdc\+\+|ld-linux-[\w-]+)\.so/;
  assert.deepEqual(
    needed.filter(name => !ofNode.test(name)),
    [],
  );
  const symbols = ask('objdump', '-T', addon);
  // Those of Debian 12 (GCC 12); Ubuntu 24.04 has newer ones.
  for (const [kind, newest] of Object.entries({ GLIBC: '2.36', GLIBCXX: '3.4.30', CXXABI: '1.3.13' })) {
    const versions = [...symbols.matchAll(new RegExp(`\\b${kind}_([0-9.]+)`, 'g'))].map(([, version]) => version);
    assert.ok(versions.length > 0, kind);
    assert.deepEqual(
      versions.filter(version => isNewer(version, newest)),
      [],
      kind,
    );
  }
  // Node.js exports its own OpenSSL; the addon must neither take nor offer such symbols.
  assert.doesNotMatch(symbols, /\b(SSL_|EVP_|PQ|sqlite3_)\w+/);
  assert.match(readFileSync(join(folder, 'native/NOTICES'), 'utf8'), /PostgreSQL Global Development Group/);
});

test('the addon speaks TLS by its own OpenSSL, in a process that uses the one of Node.js', async () => {
  const certificates = mkdtempSync(join(tmpdir(), 'ha-signer-tls-'));
  const [key, certificate] = ['key.pem', 'certificate.pem'].map(name => join(certificates, name));
  const server = await PostgresServer.start();
  try {
    ask(
      'openssl',
      ...'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext'.split(' '),
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      key,
      '-out',
      certificate,
    );
    chmodSync(certificates, 0o711);
    if (process.getuid() === 0) chownSync(key, statSync(server.folder).uid, statSync(server.folder).gid);
    server.stop();
    server.run({ ssl: 'on', ssl_cert_file: certificate, ssl_key_file: key });
    createSecureContext({ key: readFileSync(key), cert: readFileSync(certificate) });
    const url = `${server.url()}?sslmode=verify-full&sslrootcert=${certificate}`;
    await runMigrations(url);
    const { signer } = await createHASigner({ databaseUrl: url, nodeId: 'n', rollupAddress: kRollup });
    const context = { dutyType: 'GOVERNANCE_VOTE', slot: 5 };
    assert.equal(await signer.signWithProtection(kValidator, kHash, context, () => kSignature), kSignature);
    assert.match(server.sql('select count(*) from pg_stat_ssl where ssl'), /^[1-9]/);
    await signer.stop();
    await assert.rejects(runMigrations(`${server.url()}?sslmode=verify-full&sslrootcert=${key}`), /certificate/);
    await assert.rejects(runMigrations(`${server.url()}?gssencmode=require`), /GSSAPI/);
  } finally {
    server.remove();
    rmSync(certificates, { recursive: true, force: true });
  }
});

test('nothing imports a package of Aztec by its name', () => {
  const sources = readdirSync(join(folder, 'lib'), { recursive: true }).filter(name => name.endsWith('.js'));
  for (const name of sources)
    assert.doesNotMatch(readFileSync(join(folder, 'lib', name), 'utf8'), /(from |import\(|require\()\s*['"`]@/, name);
  const { cpu, dependencies = {}, peerDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  assert.deepEqual(Object.keys({ ...dependencies, ...peerDependencies }).sort(), ['@electric-sql/pglite', 'zod']);
  assert.deepEqual(cpu, [process.arch]);
});
