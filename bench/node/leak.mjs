// Signs a million duties (or as many as its argument says) and prints what the process holds after each 25,000:
//
//   node --expose-gc bench/node/leak.mjs PACKAGE [DUTIES]
//
// PACKAGE is the folder of the built package with its dependencies, e.g. build/dev/test-cache/node/node_modules/ha-signer.

import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { PostgresServer, kHash, kRollup, kSignature, randomAddress } from '../../bindings/node/test/support.mjs';

const kRound = 25_000;
const [packageFolder, duties = '1000000'] = process.argv.slice(2);
const entry = name => import(pathToFileURL(join(resolve(packageFolder), 'lib', `${name}.js`)).href);
const [{ runMigrations }, { createHASigner }] = await Promise.all(['migrations', 'factory'].map(entry));

const server = await PostgresServer.start();
await runMigrations(server.url());
const { signer } = await createHASigner({
  databaseUrl: server.url(),
  haSigningEnabled: true,
  nodeId: 'leak',
  rollupAddress: kRollup,
});
const signature = { toString: () => kSignature };
const validator = randomAddress();

let slot = 0;
while (slot < Number(duties)) {
  const end = slot + kRound;
  const startedAt = performance.now();
  const work = async () => {
    while (slot < end)
      await signer.signWithProtection(
        validator,
        kHash,
        { dutyType: 'ATTESTATION', slot: slot++, blockNumber: 1 },
        async () => signature,
      );
  };
  await Promise.all(Array.from({ length: 500 }, work));
  globalThis.gc();
  const { heapUsed, rss } = process.memoryUsage();
  const perSecond = Math.round((kRound * 1000) / (performance.now() - startedAt));
  console.log(JSON.stringify({ duties: slot, heap_mb: heapUsed / 1e6, rss_mb: rss / 1e6, duties_per_s: perSecond }));
}
await signer.stop();
