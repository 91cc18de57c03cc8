// A pool over PGlite (PostgreSQL in WebAssembly), for tests without a server: its sessions are one, and take turns.

import { EventEmitter } from 'node:events';

function resultOf({ rows, fields, affectedRows }) {
  const described = fields.map(({ name, dataTypeID }) => ({
    name,
    dataTypeID,
    tableID: 0,
    columnID: 0,
    dataTypeSize: -1,
    dataTypeModifier: -1,
    format: 'text',
  }));
  return { command: '', oid: 0, rows, rowCount: affectedRows ?? rows.length, fields: described };
}

/** A session. Ending it leaves the database open. */
export class Client extends EventEmitter {
  #pglite;
  #connected = false;

  constructor({ pglite }) {
    super();
    this.#pglite = pglite;
  }

  get connected() {
    return this.#connected;
  }

  async connect() {
    if (this.#connected) return;
    this.#connected = true;
    this.emit('connect');
  }

  async query(text, values) {
    if (!this.#connected) throw new Error('Client is not connected');
    return resultOf(await this.#pglite.query(text, values));
  }

  async end() {
    if (!this.#connected) return;
    this.#connected = false;
    this.emit('end');
  }
}

/** A client of a pool: it goes back by release(). */
export class PoolClient extends Client {
  #release;

  constructor(pglite, release) {
    super({ pglite });
    this.#release = release;
  }

  release() {
    this.#release?.(this);
    this.#release = undefined;
  }
}

export class Pool extends EventEmitter {
  #pglite;
  #max;
  #inUse = 0;
  #waiting = [];
  #ended = false;

  constructor(options) {
    super();
    this.options = options;
    this.#pglite = options.pglite;
    this.#max = options.max ?? 10;
  }

  get totalCount() {
    return this.#inUse;
  }
  get idleCount() {
    return 0;
  }
  get waitingCount() {
    return this.#waiting.length;
  }
  get ending() {
    return this.#ended;
  }
  get ended() {
    return this.#ended;
  }

  async connect() {
    if (this.#ended) throw new Error('Pool is ended');
    if (this.#inUse >= this.#max) await new Promise(resolve => this.#waiting.push(resolve));
    this.#inUse++;
    const client = new PoolClient(this.#pglite, () => {
      this.#inUse--;
      this.#waiting.shift()?.();
    });
    await client.connect();
    return client;
  }

  async query(text, values) {
    const client = await this.connect();
    try {
      return await client.query(text, values);
    } finally {
      client.release();
    }
  }

  async end() {
    this.#ended = true;
    this.emit('end');
  }
}
