// One scene a call: lifecycle_program.mjs SCENE URL. Prints "last" when the process has nothing more to do.

import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import pg from 'pg';
import { createHASigner } from 'ha-signer/factory';

import { attestation, kHash, kRollup, kSignature, randomAddress, sleep } from './support.mjs';

const [scene, url] = isMainThread ? process.argv.slice(2) : workerData;
const signature = { toString: () => kSignature };
const sign = async () => signature;
const validator = randomAddress();

async function newSigner(nodeId, deps) {
  const { signer } = await createHASigner(
    {
      databaseUrl: url,
      haSigningEnabled: true,
      nodeId,
      pollingIntervalMs: 50,
      signingTimeoutMs: 1000,
      rollupAddress: kRollup,
    },
    deps,
  );
  await signer.start();
  return signer;
}

async function keepSigning(signer, from, count, signed = () => {}) {
  let slot = from;
  await Promise.all(
    Array.from({ length: 200 }, async () => {
      while (slot < from + count) {
        await signer.signWithProtection(validator, kHash, attestation(slot++), sign);
        signed();
      }
    }),
  );
}

/** Signs on and on; resolves in the midst of it. */
function inMidFlight(signer, from) {
  return new Promise((resolve, reject) => {
    let count = 0;
    keepSigning(signer, from, 1e9, () => ++count === 300 && resolve()).catch(reject);
  });
}

const scenes = {
  async stop() {
    const signer = await newSigner('stop');
    await keepSigning(signer, 1, 500);
    const hung = signer
      .signWithProtection(validator, kHash, attestation(9999), () => new Promise(() => {}))
      .catch(error => error.code);
    await signer.stop();
    if ((await hung) !== 'not_running') throw new Error(await hung);
  },

  async 'stop-pool'() {
    const signer = await newSigner('stop-pool', { pool: new pg.Pool({ connectionString: url }) });
    await keepSigning(signer, 1, 500);
    await signer.stop();
  },

  async 'forget-to-stop'() {
    const signer = await newSigner('forget');
    await keepSigning(signer, 1, 500);
  },

  async exit() {
    const signer = await newSigner(`exit-${process.pid}`);
    const pooled = await newSigner(`exit-pooled-${process.pid}`, { pool: new pg.Pool({ connectionString: url }) });
    await Promise.all([inMidFlight(signer, 1), inMidFlight(pooled, 1e9)]);
    console.log('last');
    process.exit(0);
  },

  async throw() {
    const signer = await newSigner(`throw-${process.pid}`);
    await inMidFlight(signer, 1);
    setImmediate(() => {
      throw new Error('thrown on purpose');
    });
    await new Promise(() => {});
  },

  async workers() {
    if (!isMainThread) {
      const signer = await newSigner(`worker-${randomAddress()}`);
      parentPort.postMessage('signs');
      await keepSigning(signer, 1, 300);
      if (Math.random() < 0.5) await signer.stop();
      await inMidFlight(signer, 1000).catch(error => error.code === 'not_running' || Promise.reject(error));
      process.exit(0);
    }
    for (let round = 0; round < 3; ++round) {
      const workers = Array.from(
        { length: 4 },
        () => new Worker(new URL(import.meta.url), { workerData: ['workers', url] }),
      );
      const ends = workers.map(
        worker => new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject)),
      );
      // While it starts, signs or has ended.
      if (round === 1) await once(workers[0], 'message');
      if (round === 2) await ends[0];
      await workers[0].terminate();
      await Promise.all(ends);
    }
  },

  async again() {
    const fresh = await Promise.all(
      [1, 2].map(
        n => import(`${import.meta.resolve('ha-signer/factory').replace('factory.js', 'core.js')}?again=${n}`),
      ),
    );
    if (fresh[0].native === fresh[1].native) throw new Error('the module was not loaded anew');
    const signer = await newSigner('again');
    await keepSigning(signer, 1, 100);
    await signer.stop();
  },

  async garbage() {
    await (async () => {
      const signer = await newSigner('garbage');
      await keepSigning(signer, 1, 100);
    })();
    // The node id is free as soon as the forgotten signer has been stopped; its lease would be renewed otherwise.
    const until = Date.now() + 20_000;
    for (;;) {
      globalThis.gc();
      await sleep(20);
      const heir = await newSigner('garbage').catch(error => error);
      if (heir.stop) {
        await heir.stop();
        return;
      }
      if (heir.code !== 'node_id_taken' || Date.now() > until) throw heir;
    }
  },

  /** bench/node/leak.mjs measures the same over a million. */
  async leak() {
    const signer = await newSigner('leak');
    const kRound = 15_000;
    const used = [];
    const signRounds = async count => {
      for (; count > 0; --count) {
        await keepSigning(signer, 1 + used.length * 1_000_000, kRound);
        globalThis.gc();
        used.push(process.memoryUsage());
      }
    };
    // What is taken for a while only, minima leave out.
    const least = (name, from) => Math.min(...used.slice(from, from + 3).map(memory => memory[name]));
    const grown = (name, from) => (least(name, from + 3) - least(name, from)) / (3 * kRound);
    // What caches and the collector take, they have by the third round. The C library may still take some megabytes in
    // one go where others use the processors too; a leak goes on in the next rounds.
    await signRounds(6);
    for (let from = 3; ; from += 3) {
      await signRounds(3);
      const [heap, resident] = [grown('heapUsed', from), grown('rss', from)];
      console.log(`bytes a signing: heap ${heap}, resident ${resident}`);
      if (heap <= 20 && resident <= 200) break;
      if (from >= 9) throw new Error('signings leave something behind');
    }
    await signer.stop();
  },
};

await scenes[scene]();
console.log('last');
