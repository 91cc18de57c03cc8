// One cluster, two kinds: nodes of the published package 4.1.2, or stand-ins for those of schema 2 and 3, and nodes of this
// package race for the same duties on one PostgreSQL; nodes are killed and started again, and the server too. Every duty
// gets one message at most.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { runMigrations } from 'ha-signer/migrations';

import { PostgresServer } from './support.mjs';

const kDutiesOfARound = 60;
const kRoundMs = 60_000;
/** The rounds in which the server is stopped at once, and started again. */
const kRestarts = [8, 20];
const kOwnKinds = ['own', 'library', 'pool'];
const program = fileURLToPath(new URL('cluster_node.mjs', import.meta.url));
const children = new Set();
after(() => children.forEach(child => child.kill('SIGKILL')));

/** A node's process; started again when it has died. */
class Node {
  constructor(kind, url, nodeId, tally) {
    Object.assign(this, { kind, url, nodeId, tally, deaths: 0 });
  }

  start() {
    const ofLibrary = [process.env.CLUSTER_LIBRARY_NODE, []];
    const [command, args] = this.kind === 'library' ? ofLibrary : [process.execPath, [program, this.kind]];
    this.child = spawn(command, [...args, this.url, this.nodeId], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.words = '';
    this.child.stderr.on('data', text => (this.words = (this.words + text).slice(-2000)));
    children.add(this.child);
    this.gone = new Promise(resolve => this.child.on('exit', resolve)).then(() => {
      children.delete(this.child);
      this.isDead = true;
      this.heard?.();
    });
    this.isDead = false;
    this.child.stdin.on('error', () => {});
    this.isReady = new Promise(resolve => (this.ready = resolve));
    createInterface({ input: this.child.stdout }).on('line', line => this.#hear(JSON.parse(line)));
    return Promise.race([this.isReady, this.gone]);
  }

  #hear(said) {
    if (said.ready) this.ready();
    else if (said.round !== undefined) this.heard?.();
    else this.tally.add(this, said);
  }

  /** Until the node has answered for all duties, or has died. */
  async round(from) {
    if (this.isDead) {
      this.deaths++;
      await this.start();
    }
    const answered = new Promise(resolve => (this.heard = resolve));
    if (this.isDead) return;
    this.child.stdin.write(`${JSON.stringify({ from, count: kDutiesOfARound })}\n`);
    let timer;
    const late = new Promise(
      (_, reject) =>
        (timer = setTimeout(
          () => reject(new Error(`${this.nodeId} has not answered for round ${from}: ${this.words}`)),
          kRoundMs,
        )),
    );
    await Promise.race([answered, late]).finally(() => clearTimeout(timer));
  }

  async stop() {
    this.child.stdin.end();
    await this.gone;
  }
}

class Tally {
  released = new Map();
  wins = {};
  refusals = {};
  namedOthers = new Set();
  strange = [];

  add(node, { slot, released, refused, by, message }) {
    if (released) {
      const messages = this.released.get(slot) ?? new Set();
      this.released.set(slot, messages.add(released));
      this.wins[node.kind] = (this.wins[node.kind] ?? 0) + 1;
      return;
    }
    this.refusals[refused] = (this.refusals[refused] ?? 0) + 1;
    if (by && !by.startsWith('unknown')) this.namedOthers.add(`${node.kind} names ${by.split('-')[0]}`);
    if (!['DutyAlreadySignedError', 'SlashingProtectionError'].includes(refused))
      this.strange.push(`${node.nodeId}: ${refused} ${message}`);
  }
}

async function race({ kinds, version, rounds, disturb }) {
  const server = await PostgresServer.start();
  try {
    await runMigrations(server.url(), { to: version });
    const tally = new Tally();
    const nodes = kinds.map((kind, i) => new Node(kind, server.url(), `${kind}-${i}`, tally));
    await Promise.all(nodes.map(node => node.start()));
    for (let round = 0; round < rounds; ++round) {
      const done = Promise.all(nodes.map(node => node.round(1 + round * kDutiesOfARound)));
      await disturb(round, nodes, server);
      await done;
    }
    const rows = server
      .sql(`select slot, status, message_hash from validator_duties order by slot`)
      .split('\n')
      .map(row => row.split('|'));
    const signed = new Map(
      rows.filter(([, status]) => status === 'signed').map(([slot, , hash]) => [Number(slot), hash]),
    );
    for (const [slot, messages] of tally.released) {
      assert.deepEqual(
        [...messages],
        [signed.get(slot)],
        `slot ${slot}: what was released is what is recorded, and only that`,
      );
    }
    await Promise.all(nodes.map(node => node.stop()));
    return { tally, duties: rounds * kDutiesOfARound, signed: signed.size };
  } finally {
    server.remove();
  }
}

/** Kills a node of each kind in turn, and twice restarts the server. */
async function disturb(round, nodes, server) {
  const isNext = ['own', 'foreign', 'pool', 'library'][round % 8];
  const victim = nodes.find(({ kind }) => (kOwnKinds.includes(kind) ? kind : 'foreign') === isNext);
  if (victim && round > 2) victim.child.kill('SIGKILL');
  if (kRestarts.includes(round)) {
    server.stop('immediate');
    server.run();
  }
}

test('published nodes and ours in one cluster, schema 1', { timeout: 600_000 }, async () => {
  const kinds = ['published', 'own', 'published', 'library', 'pool'];
  const { tally, duties, signed } = await race({ kinds, version: 1, rounds: 40, disturb });
  console.log(
    JSON.stringify({ duties, signed, wins: tally.wins, refusals: tally.refusals, strange: tally.strange.length }),
  );
  assert.ok(signed > 0.9 * duties);
  const all = ['published', ...kOwnKinds];
  for (const kind of all) assert.ok(tally.wins[kind] > 20, `${kind} nodes sign too`);
  for (const a of all) {
    for (const b of all) if (a !== b) checkNamed(tally, a, b);
  }
  checkFailures(tally, duties);
});

function checkNamed(tally, a, b) {
  assert.ok(tally.namedOthers.has(`${a} names ${b}`), `${a} names ${b}: ${[...tally.namedOthers]}`);
}

/**
 * Ours have hardly failed in another way. A server that is stopped at once forgets the claims that no disk had yet; those
 * attempts lose their locks, at most a round's of each node.
 */
function checkFailures(tally, duties) {
  const ours = tally.strange.filter(line => kOwnKinds.some(kind => line.startsWith(kind)));
  const lost = ours.filter(line => /: (SigningLockLostError|signing_lock_lost) /.test(line));
  assert.ok(lost.length <= kRestarts.length * kOwnKinds.length * kDutiesOfARound, lost.join('\n'));
  assert.ok(ours.length - lost.length < duties / 50, ours.join('\n'));
}

for (const version of [2, 3]) {
  const newer = `newer${version}`;
  test(`nodes of schema ${version} (stand-ins) and ours in one cluster`, { timeout: 300_000 }, async () => {
    const kinds = [newer, 'own', newer, 'library', 'pool'];
    const { tally, duties, signed } = await race({ kinds, version, rounds: 20, disturb });
    console.log(
      JSON.stringify({ duties, signed, wins: tally.wins, refusals: tally.refusals, strange: tally.strange.length }),
    );
    assert.ok(signed > 0.9 * duties);
    const ours = kOwnKinds.map(kind => tally.wins[kind] ?? 0);
    assert.ok(tally.wins[newer] > 20 && Math.max(...ours) > 20, 'both sign');
    for (const kind of kOwnKinds) checkNamed(tally, kind, newer);
    checkNamed(tally, newer, kOwnKinds[ours.indexOf(Math.max(...ours))]);
    checkFailures(tally, duties);
  });
}
