// Callers' pools: any object with query(text, values) and end(). The core sends self-contained statements. A statement
// counts as executed only when the promise of its query() has resolved.
//
// With pg's own Pool, statements are prepared under the hash of their text, and warnings of the sessions are read. A
// warning while a statement waits for confirmation (a cancelled wait for a synchronous standby) voids the confirmation.
// Other pools do not show warnings, so they are refused on a server that has synchronous standbys.

import { createHash } from 'node:crypto';

import { native, nextNumber, onQuery } from './core.js';

const kDefaultConnections = 10;
/** Time-out of statements that a caller sends. */
const kOwnTimeoutMs = 60_000;
/** Longer than the time-out of the core, so that the core gives up first. */
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

/** Severities that are not warnings, in English, the default language of servers. */
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

/** Without a listener, an idle connection that the server ends would end the process. */
export function guardPool(pool) {
  if (typeof pool?.on !== 'function' || guarded.has(pool)) return;
  guarded.add(pool);
  pool.on('error', () => {});
}

/** pg gives the severity in the server's language only. So any notice with an SQLSTATE counts unless it is surely harmless. */
function mayWarn(notice) {
  // RAISE WARNING in a trigger runs before the commit and says nothing about it. The position in the server's source is
  // not translated, and RAISE cannot choose it; the notice of a cancelled wait comes from syncrep.c.
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

/** The statement may have been executed, also when the cause says otherwise. */
class Doubt extends Error {
  constructor(cause) {
    super(String(cause?.message ?? cause), { cause });
  }
}

/** The kind of an error: after `server` and `notSent` nothing was changed, after `lost` it may have been. */
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
        // Its last user has left it inside a transaction. What it runs now is committed only with that transaction.
        if (this.#inTransaction.has(client)) this.#warnings++;
      });
    }
  }

  /** Set once a statement has run. */
  get hearsWarnings() {
    return this.#hears && !this.#replacement();
  }

  /** A caller may replace query() of the pool by a function that uses any session, also one inside a transaction. */
  #replacement() {
    return Object.hasOwn(this.#pool, 'query') ? this.#pool.query : undefined;
  }

  #hear(client) {
    if (this.#heard.has(client)) return;
    this.#heard.add(client);
    // The native client does not pass notices on.
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
   * A client of pg that has not answered within the time-out is given up, so that the pool replaces it. Otherwise the
   * pool would never get a dead connection back.
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
        // An earlier statement of the request may have been executed.
        throw i > 0 && failureOf(error).kind === 'notSent' ? new Doubt(error) : error;
      }
    }
    if (confirm) await this.#confirm(warningsBefore, replacement);
    return results;
  }

  /** Errors: Doubt, when it is not sure that the executed statements are committed. */
  async #confirm(warningsBefore, replacement) {
    // The questions below would go to other sessions.
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
    // A caller that watches or replaces query() expects its plain form.
    if (!this.#isPg || this.#replacement()) return plain(await this.#pool.query(text, values));
    const limit = Math.min(timeoutMs + kSlackMs, this.#pool.options?.query_timeout || Infinity);
    const query = { text, values, query_timeout: limit };
    if (!this.#prepares) return this.#queryPg(query);
    try {
      return await this.#queryPg({ name: nameOf(text), ...query });
    } catch (error) {
      if (!kNotPrepared.has(sqlState(error))) throw error;
      // With a pooler in between, each statement may get another session.
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

// Drops an answer that comes when the thread of Node.js is ending.
onQuery((number, question) => void answer(number, question).catch(() => {}));

const known = new WeakMap();

/** Registers a caller's pool, so that stores can be opened on it: `{callersPool, connections}`. Errors: what is wrong with the pool. */
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

/** Runs one statement in a caller's pool. Returns how many rows it changed, once its commit is confirmed. */
export async function runConfirmed(pool, text, values) {
  const settings = await callersPool(pool);
  const [, rowCount] = await runners.get(settings.callersPool).run(true, [text, values], kOwnTimeoutMs);
  return rowCount;
}

/** Removes a pool that was ended. */
export function forgetPool(pool) {
  const settings = known.get(pool);
  if (settings) runners.delete(settings.callersPool);
  known.delete(pool);
}

/** A statement inside an open transaction is not confirmed when its query() resolves. */
async function refuseTransaction(pool) {
  await pool.query('select txid_current()::text as id', []);
  await refuseOpenTransaction(pool);
}

/** Called after a statement that has written. */
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
