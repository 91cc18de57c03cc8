// Measures the published package @aztec/validator-ha-signer, or another with its API (--package), on one PostgreSQL
// database: one measurement a call, printed as one JSON object on one line. bench/README.md says what each workload is;
// bench/run and bench/node/run call this program.
import { parseArgs } from 'node:util';

// Log lines are work that the measured signer need not do; set before the package is loaded.
process.env.LOG_LEVEL ??= 'silent';

const kValidators = 1000;
const kRollup = `0x${'11'.repeat(20)}`;
const kWarmUpDuties = 1000;
const kWinnerSignsForMs = 20;
const kExitTooLate = 75;
const kDefaultDuties = { serial: 1000, inflight: 20_000, slot: kValidators, race: kValidators, waiter: 50, large: 1000 };
const kNoOpSignature = { toString: () => `0x${'5a'.repeat(64)}1b` };
const noOpSign = () => Promise.resolve(kNoOpSignature);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const wallClockMs = () => performance.timeOrigin + performance.now();
const rounded = (value) => Math.round(value * 1000) / 1000;
const hex = (number, bytes) => `0x${number.toString(16).padStart(2 * bytes, '0')}`;

/** The nearest-rank percentiles that a latency row needs. */
function percentiles(samplesMs) {
  const sorted = [...samplesMs].sort((a, b) => a - b);
  const at = (p) => rounded(sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)]);
  return { p50_ms: at(50), p95_ms: at(95), p99_ms: at(99) };
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      workload: { type: 'string' },
      'database-url': { type: 'string' },
      duties: { type: 'string' },
      'in-flight': { type: 'string', default: '1000' },
      keys: { type: 'string', default: 'noop' },
      at: { type: 'string' },
      pool: { type: 'string', default: '10' },
      'node-id': { type: 'string', default: 'bench-1' },
      package: { type: 'string', default: '@aztec/validator-ha-signer' },
      'callers-pool': { type: 'boolean', default: false },
    },
  });
  const number = (name, fallback) => {
    const value = values[name] === undefined ? fallback : Number(values[name]);
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      throw new Error(`--${name} must be a positive number, not ${values[name]}`);
    }
    return value;
  };
  if (!values['database-url']) throw new Error('--database-url is missing');
  if (!['noop', 'real'].includes(values.keys)) throw new Error(`--keys must be noop or real, not ${values.keys}`);
  return {
    workload: values.workload,
    databaseUrl: values['database-url'],
    duties: number('duties', kDefaultDuties[values.workload]),
    inFlight: number('in-flight'),
    keys: values.keys,
    atMs: number('at'),
    pool: number('pool'),
    nodeId: values['node-id'],
    package: values.package,
    callersPool: values['callers-pool'],
  };
}

/** A pool of the caller's own, in the place of the one that the package makes. */
async function callersPool({ databaseUrl, pool }) {
  const { default: pg } = await import('pg');
  return new pg.Pool({ connectionString: databaseUrl, max: pool });
}

/** A signer of the package with its defaults, made as its README says. */
async function openSigner(options) {
  const { databaseUrl, pool, nodeId } = options;
  const [{ createHASigner }, { EthAddress }] = await Promise.all([
    import(`${options.package}/factory`),
    import('@aztec/foundation/eth-address'),
  ]);
  const config = {
    databaseUrl,
    haSigningEnabled: true,
    nodeId,
    pollingIntervalMs: 100,
    signingTimeoutMs: 3000,
    l1Contracts: { rollupAddress: EthAddress.fromString(kRollup) },
    poolMaxCount: pool,
  };
  const { signer } = await createHASigner(config, options.callersPool ? { pool: await callersPool(options) } : undefined);
  return signer;
}

async function startedSigner(options) {
  const signer = await openSigner(options);
  await signer.start();
  return signer;
}

/** Attestations in slot order, every validator once a slot; all objects are made before the clock runs. */
async function makeDuties(count, firstSlot, addressOf) {
  const [{ EthAddress }, { Buffer32 }] = await Promise.all([
    import('@aztec/foundation/eth-address'),
    import('@aztec/foundation/buffer'),
  ]);
  const validators = Array.from({ length: Math.min(count, kValidators) }, (_, i) => EthAddress.fromString(addressOf(i)));
  return Array.from({ length: count }, (_, i) => ({
    validator: validators[i % kValidators],
    messageHash: Buffer32.fromString(hex(firstSlot * kValidators + i, 32)),
    context: { dutyType: 'ATTESTATION', slot: firstSlot + Math.floor(i / kValidators), blockNumber: 1 },
  }));
}

const benchAddress = (i) => hex(i + 1, 20);

/** Addresses that no other process of a race warms up with. */
async function privateAddresses() {
  const { randomBytes } = await import('node:crypto');
  const prefix = randomBytes(16).toString('hex');
  return (i) => `0x${prefix}${i.toString(16).padStart(8, '0')}`;
}

const sign = (signer, duty, signFn = noOpSign) =>
  signer.signWithProtection(duty.validator, duty.messageHash, duty.context, signFn);

/** Connects the pool, lets the compiler settle and brings the validators' pages into the caches. */
async function warmUp(signer, firstSlot, addressOf = benchAddress) {
  const duties = await makeDuties(kWarmUpDuties, firstSlot - 1, addressOf);
  await Promise.all(duties.map((duty) => sign(signer, duty)));
}

async function measureSerial(signer, duties) {
  const samplesMs = [];
  for (const duty of duties) {
    const startMs = performance.now();
    await sign(signer, duty);
    samplesMs.push(performance.now() - startMs);
  }
  return percentiles(samplesMs);
}

/** Keeps `inFlight` attempts going until all duties are signed. */
async function measureInFlight(signer, duties, inFlight) {
  let next = 0;
  const worker = async () => {
    while (next < duties.length) await sign(signer, duties[next++]);
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: Math.min(inFlight, duties.length) }, worker));
  const ms = performance.now() - startMs;
  return { ms: rounded(ms), duties_per_s: rounded((duties.length * 1000) / ms) };
}

async function serial(options) {
  const firstSlot = Date.now();
  const signer = await startedSigner(options);
  await warmUp(signer, firstSlot);
  return measureSerial(signer, await makeDuties(options.duties, firstSlot, benchAddress));
}

async function inflight(options) {
  const firstSlot = Date.now();
  const signer = await startedSigner(options);
  await warmUp(signer, firstSlot);
  const duties = await makeDuties(options.duties, firstSlot, benchAddress);
  const figures = await measureInFlight(signer, duties, options.inFlight);
  return { in_flight: options.inFlight, pool: options.pool, ...figures };
}

async function large(options) {
  const firstSlot = Date.now();
  const signer = await startedSigner(options);
  await warmUp(signer, firstSlot);
  const duties = await makeDuties(11 * options.duties, firstSlot, benchAddress);
  const latencies = await measureSerial(signer, duties.slice(0, options.duties));
  const { duties_per_s } = await measureInFlight(signer, duties.slice(options.duties), options.inFlight);
  return { in_flight: options.inFlight, pool: options.pool, ...latencies, duties_per_s };
}

/** One sign function a validator, with the signer that the package's own dependencies bring. */
async function realKeys() {
  const [{ Secp256k1Signer }, { Buffer32 }] = await Promise.all([
    import('@aztec/foundation/crypto/secp256k1-signer'),
    import('@aztec/foundation/buffer'),
  ]);
  return Array.from({ length: kValidators }, (_, i) => new Secp256k1Signer(Buffer32.fromString(hex(i + 1, 32))));
}

async function slot(options) {
  const firstSlot = Date.now();
  const keys = options.keys === 'real' ? await realKeys() : undefined;
  const signer = await startedSigner(options);
  await warmUp(signer, firstSlot);
  const addressOf = keys ? (i) => keys[i].address.toString() : benchAddress;
  const duties = await makeDuties(options.duties, firstSlot, addressOf);
  const signFnOf = (i) => (keys ? (hash) => Promise.resolve(keys[i % kValidators].sign(hash)) : noOpSign);
  if (keys) keys.slice(0, 100).forEach((key, i) => key.sign(duties[i].messageHash));

  let firstMs;
  const startMs = performance.now();
  await Promise.all(
    duties.map(async (duty, i) => {
      await sign(signer, duty, signFnOf(i));
      firstMs ??= performance.now() - startMs;
    }),
  );
  return { keys: options.keys, pool: options.pool, first_ms: rounded(firstMs), last_ms: rounded(performance.now() - startMs) };
}

/** Sleeps to just before the instant and spins for the rest, since timers come late. */
async function waitUntil(atMs) {
  if (wallClockMs() > atMs) {
    console.error(`ready ${Math.round(wallClockMs() - atMs)} ms after --at; give a later instant`);
    process.exit(kExitTooLate);
  }
  await sleep(Math.max(0, atMs - wallClockMs() - 3));
  while (wallClockMs() < atMs);
}

async function race(options) {
  if (!options.atMs) throw new Error('race needs --at, the instant at which every process starts');
  const { DutyAlreadySignedError } = await import(`${options.package}/errors`);
  const signer = await startedSigner(options);
  await warmUp(signer, options.atMs, await privateAddresses());
  const duties = await makeDuties(options.duties, options.atMs, benchAddress);

  const counts = { wins: 0, refusals: 0, false_timeouts: 0, failures: 0 };
  await waitUntil(options.atMs);
  await Promise.all(
    duties.map(async (duty) => {
      try {
        await sign(signer, duty);
        counts.wins++;
      } catch (error) {
        if (!(error instanceof DutyAlreadySignedError)) counts.failures++;
        else if (error.signedByNode.includes('timeout')) counts.false_timeouts++;
        else counts.refusals++;
      }
    }),
  );
  return { node_id: options.nodeId, pool: options.pool, ...counts, ms: rounded(wallClockMs() - options.atMs) };
}

/** How long after the winner's call the loser's call returns; the loser comes while the winner is signing. */
async function measureWaiting(winner, loser, duty, loserComesAfterMs) {
  let loserReturnedMs;
  const lose = async () => {
    await sleep(loserComesAfterMs);
    const refused = await sign(loser, duty).then(() => false, () => true);
    if (!refused) throw new Error('the loser signed a duty that the winner was signing');
    loserReturnedMs = performance.now();
  };
  let losing;
  await sign(winner, duty, async () => {
    losing = lose();
    await sleep(kWinnerSignsForMs);
    return kNoOpSignature;
  });
  const winnerReturnedMs = performance.now();
  await losing;
  return loserReturnedMs - winnerReturnedMs;
}

async function waiter(options) {
  const firstSlot = Date.now();
  const winner = await startedSigner(options);
  const loser = await startedSigner({ ...options, nodeId: `${options.nodeId}-waiting` });
  await warmUp(winner, firstSlot);
  await warmUp(loser, firstSlot - 1);
  const samplesMs = [];
  for (const [i, duty] of (await makeDuties(options.duties, firstSlot, benchAddress)).entries()) {
    samplesMs.push(await measureWaiting(winner, loser, duty, ((i + 0.5) / options.duties) * 0.75 * kWinnerSignsForMs));
  }
  return { winner_signs_for_ms: kWinnerSignsForMs, ...percentiles(samplesMs) };
}

async function residentMb() {
  const { readFile } = await import('node:fs/promises');
  const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(await readFile('/proc/self/status', 'utf8'));
  return rounded((Number(kib) * 1024) / 1e6);
}

/** From the instant at which the process was started (--at; else as the runtime noted it) to a first signature. */
async function start(options) {
  const signer = await openSigner(options);
  const starting = signer.start(); // Not awaited, as in the package's README.
  const [duty] = await makeDuties(1, Date.now(), benchAddress);
  await sign(signer, duty);
  const ms = wallClockMs() - (options.atMs ?? performance.timeOrigin);
  const rss_mb = await residentMb();
  await starting;
  return { pool: options.pool, ms: rounded(ms), rss_mb };
}

async function migrate({ databaseUrl, ...options }) {
  const { runMigrations } = await import(`${options.package}/migrations`);
  return { applied: await runMigrations(databaseUrl, { direction: 'up' }) };
}

const kWorkloads = { serial, inflight, slot, race, waiter, start, large, migrate };

async function main() {
  const options = readArguments();
  const measure = kWorkloads[options.workload];
  if (!measure) throw new Error(`--workload must be one of ${Object.keys(kWorkloads).join(', ')}, not ${options.workload}`);
  const figures = await measure(options);
  const line = { workload: options.workload, rival: 'published', ...(options.duties && { duties: options.duties }), ...figures };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
}

// The package keeps its process alive for minutes after a stop, so every end is an explicit exit.
main().catch((error) => {
  console.error(`published.mjs: ${error}`);
  process.exit(1);
});
