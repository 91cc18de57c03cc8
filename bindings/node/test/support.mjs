// What the tests share: PostgreSQL servers of their own, the package as it was put together by the build, and duties.

import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const kRollup = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
export const kValidator = '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf';
export const kHash = `0x${'11'.repeat(32)}`;
export const kOtherHash = `0x${'22'.repeat(32)}`;
export const kSignature = `0x${'5a'.repeat(64)}1b`;

export const randomAddress = () => `0x${randomBytes(20).toString('hex')}`;
export const randomHash = () => `0x${randomBytes(32).toString('hex')}`;
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

export function attestation(slot) {
  return { dutyType: 'ATTESTATION', slot, blockNumber: 7 };
}

/** Of the server's programs: nothing of the caller's settings, and no libraries that are meant for the tests. */
const serverEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(PG|LD_PRELOAD)/.test(name)),
);

function userId(name, flag) {
  return Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
    server.on('error', reject);
  });
}

/** A PostgreSQL server in a temporary folder; run by the user postgres where the test is run by root. */
export class PostgresServer {
  #folder = mkdtempSync(join(tmpdir(), 'ha-signer-node-'));
  #programs;
  #as = {};
  #databases = 0;

  static async start(settings = {}) {
    const server = new PostgresServer();
    server.port = await freePort();
    server.#initialize();
    server.#removeWhenThisProcessIsGone();
    server.run(settings);
    process.once('exit', () => server.remove());
    return server;
  }

  #initialize() {
    const root = '/usr/lib/postgresql';
    this.#programs =
      process.env.PG_BIN ??
      join(
        root,
        readdirSync(root)
          .sort((a, b) => a - b)
          .at(-1),
        'bin',
      );
    chmodSync(this.#folder, 0o711);
    if (process.getuid() === 0) {
      this.#as = { uid: userId('postgres', '-u'), gid: userId('postgres', '-g') };
      chownSync(this.#folder, this.#as.uid, this.#as.gid);
    }
    this.#call('initdb', '--auth=trust', '--username=postgres', '--no-sync', '--pgdata', join(this.#folder, 'data'));
  }

  /** Also when it is killed: then the pipe, of which only this process has the other end, comes to its end. */
  #removeWhenThisProcessIsGone() {
    const script = 'read -r _; "$0"/pg_ctl stop --silent -D "$1/data" -m immediate; rm -rf "$1"';
    const guard = spawn('sh', ['-c', script, this.#programs, this.#folder], {
      ...this.#as,
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    guard.unref();
    guard.stdin.unref();
  }

  #call(program, ...args) {
    return execFileSync(join(this.#programs, program), args, {
      ...this.#as,
      env: serverEnvironment,
      cwd: this.#folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  run(settings = {}) {
    const options = [`-p ${this.port}`, `-k ${this.#folder}`, '-c listen_addresses=127.0.0.1', '-c fsync=off'];
    for (const [name, value] of Object.entries(settings)) options.push(`-c ${name}=${value}`);
    const data = join(this.#folder, 'data');
    execFileSync(
      join(this.#programs, 'pg_ctl'),
      ['start', '--wait', '--silent', '-D', data, '-l', join(this.#folder, 'log'), '-o', options.join(' ')],
      {
        ...this.#as,
        env: serverEnvironment,
        cwd: this.#folder,
        stdio: 'ignore',
      },
    );
  }

  stop(mode = 'fast') {
    try {
      this.#call('pg_ctl', 'stop', '--wait', '--silent', '-D', join(this.#folder, 'data'), '-m', mode);
    } catch {
      // It is not running.
    }
  }

  remove() {
    this.stop('immediate');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  url(database = 'postgres') {
    return `postgresql://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** Belongs to the user that runs the server. */
  get folder() {
    return this.#folder;
  }

  /** Rows as `a|b`, separated by new lines. */
  sql(text, database = 'postgres') {
    return this.#call(
      'psql',
      '--no-psqlrc',
      '--tuples-only',
      '--no-align',
      '-v',
      'ON_ERROR_STOP=1',
      '-d',
      this.url(database),
      '-c',
      text,
    ).trim();
  }

  /** The name of an empty database. */
  emptyDatabase() {
    const name = `d${++this.#databases}`;
    this.sql(`create database ${name}`);
    return name;
  }
}

/** Relays connections to a port. Those that are open when silence() is called stay open, but nothing passes any more. */
export class Relay {
  #server;
  #pairs = new Set();

  static async to(port) {
    const relay = new Relay();
    relay.#server = createServer(client => relay.#relay(client, connect(port, '127.0.0.1')));
    await new Promise(resolve => relay.#server.listen(0, '127.0.0.1', resolve));
    relay.port = relay.#server.address().port;
    return relay;
  }

  #relay(client, server) {
    const pair = { client, server, isSilent: false };
    this.#pairs.add(pair);
    const pass = to => bytes => pair.isSilent || to.write(bytes);
    client.on('data', pass(server));
    server.on('data', pass(client));
    const end = () => {
      client.destroy();
      server.destroy();
      this.#pairs.delete(pair);
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
  }

  /** How many connections it silenced. */
  silence() {
    for (const pair of this.#pairs) pair.isSilent = true;
    return this.#pairs.size;
  }

  close() {
    this.#server.close();
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }
}
