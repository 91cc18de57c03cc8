// Callers' pools: any object with query(text, values) and end(). The core sends statements, each complete in itself,
// and counts one as carried out only when the promise of its query() has resolved.
//
// With pg's own Pool, statements are prepared under the hash of their text, and the sessions' warnings are heard: if
// one arrives while a statement is to be confirmed (a wait for a synchronous standby that was cancelled), the
// confirmation does not count. Other pools show no warnings, so they are refused on a server that has synchronous
// standbys.

import { createHash } from 'node:crypto';

import { native, nextNumber, onQuery } from './core.js';

const kDefaultConnections = 10;
/** Of statements that a caller's own call sends. */
const kOwnPatienceMs = 60_000;
/** The core gives a statement up first. */
const kSlackMs = 100;
const kNotPrepared = new Set(['26000', '42P05', '0A000']);
const kRefusedConnection = /^(28|3D|53300|57P03)/;
const kLostSession = /^(08|57P01|57P02|57P05|25P03|40003)/;
const kNeverSent =
  /timeout exceeded when trying to connect|after calling end on the pool|pool is (?:ended|closed)|due to connection timeout|not queryable/i;
const kCannotConnect = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT']);

const runners = new Map();
const guarded = new WeakSet();
const names = new Map();

/** What is no warning, in the language that servers speak unless told otherwise. */
const kHarmless = new Set(['NOTICE', 'INFO', 'LOG', 'DEBUG']);

const asText = { getTypeParser: () => value => value };

function nameOf(text) {
  let name = names.get(text);
  if (!name) {
    name = `ha_signer_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
  }
  return name;
}

/** Keeps an idle connection that its server has ended from ending the process. */
export function guardPool(pool) {
  if (typeof pool?.on !== 'function' || guarded.has(pool)) return;
  guarded.add(pool);
  pool.on('error', () => {});
}

/** pg tells the severity in the server's language only, so whatever has an SQLSTATE and is not surely harmless counts. */
function mayWarn(notice) {
  // RAISE WARNING in somebody's trigger ran before the commit and knows nothing of it. Where in the server's source a
  // message comes from is neither translated nor for RAISE to choose; a cancelled wait comes from syncrep.c.
  if (notice.file === 'pl_exec.c' && notice.routine === 'exec_stmt_raise') return false;
  return notice.severity === 'WARNING' || (notice.code !== '00000' && !kHarmless.has(notice.severity));
}

function isPgPool(pool) {
  return typeof pool.on === 'function' && typeof pool.Client === 'function' && typeof pool.totalCount === 'number';
}

function sqlState(error) {
  const code = error?.code;
  const isSqlState =
    typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && error.syscall === undefined && error.errno === undefined;
  return isSqlState ? code : undefined;
}

/** Something may have been carried out, whatever the cause says of itself. */
class Doubt extends Error {
  constructor(cause) {
    super(String(cause?.message ?? cause), { cause });
  }
}

/** What follows from an error: `server` has changed nothing, `notSent` neither, `lost` may have. */
export function failureOf(error) {
  const message = String(error?.message ?? error);
  if (error instanceof Doubt) return { kind: 'lost', code: '', message };
  const code = sqlState(error);
  if (code && kLostSession.test(code)) return { kind: 'lost', code: '', message };
  if (code && error.severity === 'FATAL')
    return { kind: kRefusedConnection.test(code) ? 'notSent' : 'lost', code: '', message };
  if (code) return { kind: 'server', code, message };
  const neverSent = kCannotConnect.has(error?.code) || kNeverSent.test(message);
  return { kind: neverSent ? 'notSent' : 'lost', code: '', message };
}

function textOf(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return String(value);
}

class PoolRunner {
  #pool;
  #isPg;
  #prepares;
  #hears = false;
  #warnings = 0;
  #heard = new WeakSet();
  #inTransaction = new WeakSet();

  constructor(pool) {
    this.#pool = pool;
    this.#isPg = isPgPool(pool);
    this.#prepares = this.#isPg;
    if (this.#isPg) {
      pool.on('acquire', client => {
        this.#hear(client);
        // Whoever had it before has left it inside a transaction, and what it runs now is committed only with that.
        if (this.#inTransaction.has(client)) this.#warnings++;
      });
    }
  }

  /** Known once a statement has run. */
  get hearsWarnings() {
    return this.#hears && !this.#replacement();
  }

  /** Whoever has put a query() of his own into the pool may send statements to any session, also into a transaction. */
  #replacement() {
    return Object.hasOwn(this.#pool, 'query') ? this.#pool.query : undefined;
  }

  #hear(client) {
    if (this.#heard.has(client)) return;
    this.#heard.add(client);
    // The native client passes on no notices.
    this.#hears = client.native === undefined && client.connection !== undefined;
    client.on('notice', notice => {
      if (mayWarn(notice)) this.#warnings++;
    });
    client.connection?.on('readyForQuery', ({ status }) => {
      if (status === 'T' || status === 'E') this.#inTransaction.add(client);
      else this.#inTransaction.delete(client);
    });
  }

  /**
   * `[rows, rowCount, …]` of the statements, one after the other.
   *
   * A client of pg that has not answered when nobody waits any more is given up, so that the pool replaces it: a
   * connection that has died in silence would be lost to the pool for ever.
   */
  async run(confirm, statements, timeoutMs) {
    const results = [];
    const warningsBefore = this.#warnings;
    const replacement = this.#replacement();
    for (let i = 0; i < statements.length; i += 2) {
      try {
        const result = await this.#query(statements[i], statements[i + 1], timeoutMs);
        results.push(result.rows, result.rowCount);
      } catch (error) {
        // A statement that was never sent may come after one that was carried out.
        throw i > 0 && failureOf(error).kind === 'notSent' ? new Doubt(error) : error;
      }
    }
    if (confirm) await this.#confirm(warningsBefore, replacement);
    return results;
  }

  /** Errors: what was carried out is not surely committed. */
  async #confirm(warningsBefore, replacement) {
    // What is asked below would be asked of other sessions.
    if (this.#replacement() !== replacement) throw new Doubt('query() of the pool was exchanged meanwhile');
    if (this.#warnings !== warningsBefore)
      throw new Doubt(
        'the server warned, or the pool gave a client inside a transaction, while a commit was to be confirmed',
      );
    if (this.hearsWarnings) return;
    try {
      await refuseSynchronousStandbys(this.#pool);
      await refuseOpenTransaction(this.#pool);
    } catch (error) {
      throw new Doubt(error);
    }
  }

  async #query(text, values, timeoutMs) {
    // Who watches or replaces the method of his pool expects the plain form of it.
    if (!this.#isPg || this.#replacement()) return plain(await this.#pool.query(text, values));
    const limit = Math.min(timeoutMs + kSlackMs, this.#pool.options?.query_timeout || Infinity);
    const query = { text, values, query_timeout: limit };
    if (!this.#prepares) return this.#queryPg(query);
    try {
      return await this.#queryPg({ name: nameOf(text), ...query });
    } catch (error) {
      if (!kNotPrepared.has(sqlState(error))) throw error;
      // A pooler between here and the server gives each statement another session.
      this.#prepares = false;
      return this.#queryPg(query);
    }
  }

  async #queryPg(query) {
    const result = await this.#pool.query({ ...query, rowMode: 'array', types: asText });
    return { rows: result.rows, rowCount: result.rowCount ?? 0 };
  }
}

function plain(result) {
  const rows = result.rows.map(row => (Array.isArray(row) ? row : Object.values(row)).map(textOf));
  return { rows, rowCount: Number(result.rowCount ?? result.affectedRows ?? rows.length) };
}

async function answer(number, [runner, confirm, timeoutMs, ...statements]) {
  if (!runners.has(runner)) {
    native.answerQuery(number, null, { kind: 'notSent', code: '', message: 'the pool was ended' });
    return;
  }
  try {
    native.answerQuery(number, await runners.get(runner).run(confirm, statements, timeoutMs), null);
  } catch (error) {
    native.answerQuery(number, null, failureOf(error));
  }
}

// An answer that comes when the thread of Node.js is ending is nobody's.
onQuery((number, question) => void answer(number, question).catch(() => {}));

const known = new WeakMap();

/** Makes a caller's pool one that stores can be opened on: `{callersPool, connections}`. Errors: what is wrong with it. */
export async function callersPool(pool) {
  let settings = known.get(pool);
  if (!settings) {
    const number = nextNumber();
    const runner = new PoolRunner(pool);
    await refuseTransaction(pool);
    if (!runner.hearsWarnings) await refuseSynchronousStandbys(pool);
    runners.set(number, runner);
    settings = { callersPool: number, connections: Number(pool.options?.max) || kDefaultConnections };
    known.set(pool, settings);
  }
  return settings;
}

/** Runs one statement of a caller's pool, and counts it as carried out only when its commit is confirmed: how many rows. */
export async function runConfirmed(pool, text, values) {
  const settings = await callersPool(pool);
  const [, rowCount] = await runners.get(settings.callersPool).run(true, [text, values], kOwnPatienceMs);
  return rowCount;
}

/** Lets go of a pool that has been ended. */
export function forgetPool(pool) {
  const settings = known.get(pool);
  if (settings) runners.delete(settings.callersPool);
  known.delete(pool);
}

/** A statement in somebody's open transaction is not confirmed when its query() resolves. */
async function refuseTransaction(pool) {
  await pool.query('select txid_current()::text as id', []);
  await refuseOpenTransaction(pool);
}

/** After a statement that has written. */
async function refuseOpenTransaction(pool) {
  const { rows } = await pool.query('select txid_current_if_assigned()::text as id', []);
  if (rows[0]?.id) {
    throw new Error(
      'query() of the given pool runs inside a transaction, so nothing that it does is committed; give a pool, ' +
        'not a client in a transaction',
    );
  }
}

async function refuseSynchronousStandbys(pool) {
  const { rows } = await pool.query(`select current_setting('synchronous_standby_names') as names`, []);
  if (rows[0]?.names) {
    throw new Error(
      'the server has synchronous standbys, and the given pool does not pass on warnings, so a cancelled wait for ' +
        'one would go unnoticed; use the Pool of pg, or databaseUrl without a pool',
    );
  }
}
