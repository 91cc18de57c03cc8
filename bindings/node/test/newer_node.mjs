// A stand-in for the signer of a node of schema 2 (5.x) or 3 (later), which npm does not have: the same statements, in the
// same order, with the same conditions, and its bound on the sign call. What it lacks is watermarks, lease and takeover.

import { randomBytes } from 'node:crypto';

import pg from 'pg';

import { sleep } from './support.mjs';

class DutyAlreadySignedError extends Error {
  name = 'DutyAlreadySignedError';
}
class SlashingProtectionError extends Error {
  name = 'SlashingProtectionError';
}
class SigningLockLostError extends Error {
  name = 'SigningLockLostError';
}

const kMaxStuckMs = 144_000;
const kRetentionMs = 24 * 3_600_000;

const insertOrGet = version => `
  with new as (
    insert into validator_duties (rollup_address, validator_address, slot, block_number, checkpoint_number,
      block_index_within_checkpoint, duty_type, status, message_hash, node_id, lock_token, started_at${version > 2 ? ', expires_at' : ''})
    values ($1, $2, $3, $4, $5, $6, $7, 'signing', $8, $9, $10, current_timestamp${
      version > 2 ? `, current_timestamp + $11::double precision * interval '1 millisecond'` : ''
    })
    on conflict (rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint) do nothing
    returning status, message_hash, node_id, lock_token)
  select *, true as is_new from new
  union all
  select status, message_hash, node_id, '', false from validator_duties
  where rollup_address = $1 and validator_address = $2 and slot = $3 and duty_type = $7
    and block_index_within_checkpoint = $6 and not exists (select from new)`;

const kKey = `rollup_address = $2 and validator_address = $3 and slot = $4 and duty_type = $5
  and block_index_within_checkpoint = $6 and status = 'signing' and lock_token = $7`;

export class NewerSigner {
  constructor(url, version, config) {
    Object.assign(this, { version, config });
    this.pool = new pg.Pool({ connectionString: url });
    this.pool.on('error', () => {});
  }

  /** Versions must be equal. What is stuck under this node's id is deleted, and by version 2 all rows of other rollups. */
  async start() {
    const { rows } = await this.pool.query('select version from schema_version order by version desc limit 1');
    if (rows[0]?.version !== this.version) throw new Error(`the schema version is ${rows[0]?.version}`);
    if (this.version === 2)
      await this.pool.query('delete from validator_duties where rollup_address <> $1', [this.config.rollup]);
    else await this.pool.query('delete from validator_duties where expires_at <= current_timestamp');
    await this.pool.query(
      `delete from validator_duties where node_id = $1 and status = 'signing'
         and started_at < current_timestamp - ($2 || ' milliseconds')::interval`,
      [this.config.nodeId, kMaxStuckMs],
    );
  }

  async #claim(validator, hash, { slot, dutyType }) {
    const token = randomBytes(16).toString('hex');
    const values = [this.config.rollup, validator, slot, 0, 1, -1, dutyType, hash, this.config.nodeId, token];
    if (this.version > 2) values.push(kRetentionMs);
    const startedAt = Date.now();
    for (;;) {
      const { rows } = await this.pool.query(insertOrGet(this.version), values);
      const [row] = rows;
      if (row?.is_new) return row.lock_token;
      if (row?.status === 'signed') {
        const refusal = row.message_hash === hash ? DutyAlreadySignedError : SlashingProtectionError;
        throw Object.assign(new refusal(), { signedByNode: row.node_id });
      }
      if (Date.now() - startedAt > this.config.peerSigningTimeoutMs)
        throw Object.assign(new DutyAlreadySignedError(), { signedByNode: 'unknown (timeout)' });
      await sleep(row ? this.config.pollingIntervalMs : 10);
    }
  }

  async signWithProtection(validator, messageHash, context, signFn) {
    const hash = messageHash.toString();
    const token = await this.#claim(validator.toString(), hash, context);
    const key = [this.config.rollup, validator.toString(), context.slot, context.dutyType, -1, token];
    let signature;
    try {
      let timer;
      const late = new Promise((_, reject) => (timer = setTimeout(reject, 30_000, new Error('timed out'))));
      signature = await Promise.race([signFn(messageHash), late]).finally(() => clearTimeout(timer));
    } catch (error) {
      await this.pool.query(`delete from validator_duties where ${kKey} and $1::text is null`, [null, ...key]);
      throw error;
    }
    const { rowCount } = await this.pool.query(
      `update validator_duties set status = 'signed', signature = $1, completed_at = current_timestamp where ${kKey}`,
      [signature.toString(), ...key],
    );
    if (rowCount === 0) throw new SigningLockLostError();
    return signature;
  }

  async stop() {
    await this.pool.end();
  }
}
