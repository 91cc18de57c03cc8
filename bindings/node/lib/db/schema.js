// The shared tables as the installed release of the node demands them, this project's own objects beside them, and the
// statements of PostgresSlashingProtectionDatabase. Each is one statement, so that it can be sent with parameters.

import { native } from '../core.js';
import { demandedVersion } from '../installed_release.js';

const kNewestVersion = 3;

export const SCHEMA_VERSION = Math.min(demandedVersion().version, kNewestVersion);
const hasCheckpoints = SCHEMA_VERSION >= 2;
const hasDeadlines = SCHEMA_VERSION >= 3;

export const CREATE_SCHEMA_VERSION_TABLE = `
create table if not exists schema_version (
  version    integer primary key,
  applied_at timestamp not null default current_timestamp
)`;

export const CREATE_VALIDATOR_DUTIES_TABLE = `
create table if not exists validator_duties (
  rollup_address                varchar(42)  not null,
  validator_address             varchar(42)  not null,
  slot                          bigint       not null,
  block_number                  bigint       not null,${
    hasCheckpoints ? '\n  checkpoint_number             bigint       not null default 0,' : ''
  }
  block_index_within_checkpoint integer      not null default 0,
  duty_type                     varchar(30)  not null check (duty_type in (
    'BLOCK_PROPOSAL', 'CHECKPOINT_PROPOSAL', 'ATTESTATION', 'ATTESTATIONS_AND_SIGNERS', 'GOVERNANCE_VOTE', 'SLASHING_VOTE')),
  status                        varchar(20)  not null check (status in ('signing', 'signed')),
  message_hash                  varchar(66)  not null,
  signature                     varchar(132),
  node_id                       varchar(255) not null,
  lock_token                    varchar(64)  not null,
  started_at                    timestamp    not null default current_timestamp,
  completed_at                  timestamp,${
    hasDeadlines ? "\n  expires_at                    timestamp    default current_timestamp + interval '30 days'," : ''
  }
  error_message                 text,
  primary key (rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint),
  check (completed_at is null or completed_at >= started_at)
)`;

export const CREATE_STATUS_INDEX = `
create index if not exists idx_validator_duties_status on validator_duties (status, started_at)`;

export const CREATE_NODE_INDEX = `
create index if not exists idx_validator_duties_node on validator_duties (node_id, started_at)`;

/** From version 3 on. */
export const CREATE_EXPIRY_INDEX = `
create index if not exists idx_validator_duties_expiry on validator_duties (expires_at) where expires_at is not null`;

/** The node registry, the watermarks and the trigger that raises them: `schema/postgres/ha_signer.up.sql`. */
export const CREATE_HA_SIGNER_OBJECTS = `
do $ha_signer_setup$
begin
  execute $ha_signer_objects$${native.ownSchema()}$ha_signer_objects$;
end
$ha_signer_setup$`;

export const INSERT_SCHEMA_VERSION = `
insert into schema_version (version) values ($1) on conflict (version) do nothing`;

/** All of the above but the version, in this order. */
export const SCHEMA_SETUP = Object.freeze([
  CREATE_SCHEMA_VERSION_TABLE,
  CREATE_VALIDATOR_DUTIES_TABLE,
  CREATE_STATUS_INDEX,
  CREATE_NODE_INDEX,
  ...(hasDeadlines ? [CREATE_EXPIRY_INDEX] : []),
  CREATE_HA_SIGNER_OBJECTS,
]);

export const GET_SCHEMA_VERSION = `
select version from schema_version order by version desc limit 1`;

// Our rows have times in UTC for any time zone of the session. Addresses and hashes are compared as bytes: their letter
// case in the table does not matter.
const kNow = `(clock_timestamp() at time zone 'UTC')`;

/** Columns of the rows of INSERT_OR_GET_DUTY, in their order. */
export const dutyColumns = version => [
  'rollup_address',
  'validator_address',
  'slot',
  'block_number',
  ...(version >= 2 ? ['checkpoint_number'] : []),
  'block_index_within_checkpoint',
  'duty_type',
  'status',
  'message_hash',
  'signature',
  'node_id',
  'lock_token',
  'started_at',
  'completed_at',
  'error_message',
  'is_new',
];

const kTimes = `d.started_at at time zone 'UTC' as started_at, d.completed_at at time zone 'UTC' as completed_at,
  d.error_message`;

const shown = version => `d.rollup_address, d.validator_address, d.slot, d.block_number,
  ${version >= 2 ? 'd.checkpoint_number, ' : ''}d.block_index_within_checkpoint, d.duty_type, d.status, d.message_hash, d.signature, d.node_id`;

/** The parameters of INSERT_OR_GET_DUTY by their names, in the order of the releases that demand the version. */
function parametersOf(version) {
  const names = ['rollup', 'validator', 'slot', 'block', 'index', 'type', 'hash', 'node', 'token'];
  if (version >= 2) names.splice(4, 0, 'checkpoint');
  if (version >= 3) names.push('retention');
  return Object.fromEntries(names.map((name, i) => [name, `$${i + 1}`]));
}

/** Aliases: rows of the same duty under another letter case, or under a block index that its type does not have. */
function aliases(version, { rollup, validator, slot, index, type }) {
  const rows = `select ${shown(version)}, d.lock_token, d.started_at, d.completed_at, d.error_message from validator_duties d`;
  return `
  ${rows}
  where d.slot = ${slot}::bigint and (d.rollup_address <> lower(d.rollup_address) or d.validator_address <> lower(d.validator_address))
    and lower(d.rollup_address) = lower(${rollup}::text) and lower(d.validator_address) = lower(${validator}::text)
    and d.duty_type = ${type}::text and (d.block_index_within_checkpoint = ${index}::int or d.duty_type <> 'BLOCK_PROPOSAL')
  union all
  ${rows}
  where d.rollup_address = lower(${rollup}::text) and d.validator_address = lower(${validator}::text) and d.slot = ${slot}::bigint
    and d.duty_type = ${type}::text and d.duty_type <> 'BLOCK_PROPOSAL' and d.block_index_within_checkpoint <> ${index}::int`;
}

/**
 * $1 rollup, $2 validator, $3 slot, $4 block number; from version 2 on the checkpoint number; then block index, duty type,
 * message hash, node id, lock token; from version 3 on the retention in ms, null for none. A row that already has the token
 * counts as new: the reply of its insertion was lost.
 */
export function insertOrGetDuty(version) {
  const given = parametersOf(version);
  const { rollup, validator, slot, block, checkpoint, index, type, hash, node, token, retention } = given;
  const columns = (checkpoint ? ', checkpoint_number' : '') + (retention ? ', expires_at' : '');
  const values =
    (checkpoint ? `, ${checkpoint}::bigint` : '') +
    (retention ? `, ${kNow} + ${retention}::double precision * interval '1 millisecond'` : '');
  return `
with aliases as materialized (${aliases(version, given)}),
inserted as (
  insert into validator_duties (
    rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status,
    message_hash, node_id, lock_token, started_at${columns})
  select lower(${rollup}::text), lower(${validator}::text), ${slot}::bigint, ${block}::bigint, ${index}::int, ${type}::text,
         'signing', lower(${hash}::text), ${node}::text, ${token}::text, ${kNow}${values}
  where not exists (select from aliases)
  on conflict do nothing
  returning *)
select ${shown(version)}, d.lock_token, ${kTimes}, true as is_new from inserted d
union all
(select ${shown(version)}, case when d.lock_token = ${token}::text then d.lock_token else '' end, ${kTimes},
        d.lock_token = ${token}::text and d.status = 'signing'
 from (select ${shown(version)}, d.lock_token, d.started_at, d.completed_at, d.error_message from validator_duties d
       where d.rollup_address = lower(${rollup}::text) and d.validator_address = lower(${validator}::text)
         and d.slot = ${slot}::bigint and d.duty_type = ${type}::text and d.block_index_within_checkpoint = ${index}::int
       union all select * from aliases) d
 where not exists (select from inserted)
 order by d.status limit 1)`;
}

export const INSERT_OR_GET_DUTY = insertOrGetDuty(SCHEMA_VERSION);

/** Raises synchronous_commit to at least `on`, also when the role or the database sets less. */
const kDurably = `durably as materialized (
  select set_config('synchronous_commit',
                    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                         else current_setting('synchronous_commit') end, true),
         set_config('client_min_messages', 'warning', true))`;

/** $1 signature, $2 rollup, $3 validator, $4 slot, $5 duty type, $6 block index, $7 lock token. Refuses slots outside a watermark. */
export const UPDATE_DUTY_SIGNED = `
with ${kDurably}
update validator_duties d
set status = 'signed', signature = $1::text, completed_at = greatest(${kNow}, d.started_at)
from durably
where d.rollup_address = lower($2::text) and d.validator_address = lower($3::text) and d.slot = $4::bigint
  and d.duty_type = $5::text and d.block_index_within_checkpoint = $6::int and d.status = 'signing'
  and d.lock_token = $7::text
  and not exists (
    select from ha_signer_watermarks w
    where w.rollup_address = lower($2::text) and w.validator_address = lower($3::text) and w.duty_type = $5::text
      and (w.low_slot >= $4::bigint or w.high_slot < $4::bigint))`;

/** $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index, $6 lock token. */
export const DELETE_DUTY = `
delete from validator_duties d
where d.rollup_address = lower($1::text) and d.validator_address = lower($2::text) and d.slot = $3::bigint
  and d.duty_type = $4::text and d.block_index_within_checkpoint = $5::int and d.status = 'signing' and d.lock_token = $6::text`;

/** $1 a time. */
export const CLEANUP_OLD_SIGNED_DUTIES = `
delete from validator_duties where status = 'signed' and completed_at < $1`;

/** $1 age in ms. */
export const kRemoveOlder = `
delete from validator_duties
where status = 'signed' and started_at < ${kNow} - $1::double precision * interval '1 millisecond'`;

/** Rows whose own deadline has passed, of any status and rollup. */
export const kRemoveExpired = `
delete from validator_duties where expires_at <= ${kNow}`;

/** $1 age in ms; from version 3 on no parameter. */
export const CLEANUP_OLD_DUTIES = hasDeadlines ? kRemoveExpired : kRemoveOlder;

/** $1 node id, $2 age in ms. */
export const CLEANUP_OWN_STUCK_DUTIES = `
delete from validator_duties
where node_id = $1::text and status = 'signing' and started_at < ${kNow} - $2::double precision * interval '1 millisecond'`;

/** As before; $3 the held lock tokens. */
export const kCleanupStuckButHeld = `${CLEANUP_OWN_STUCK_DUTIES} and lock_token <> all ($3::text[])`;

/** $1 rollup. */
export const CLEANUP_OUTDATED_ROLLUP_DUTIES = `
delete from validator_duties where lower(rollup_address) <> lower($1::text)`;

export const DROP_VALIDATOR_DUTIES_TABLE = 'drop table if exists validator_duties';

export const DROP_SCHEMA_VERSION_TABLE = 'drop table if exists schema_version';

/** $1 a time. Rows that have been *signing* since before it. */
export const GET_STUCK_DUTIES = `
select rollup_address, validator_address, slot, block_number${
  hasCheckpoints ? ', checkpoint_number' : ''
}, block_index_within_checkpoint, duty_type, status,
       message_hash, node_id, started_at, extract(epoch from ${kNow} - started_at) as age_seconds
from validator_duties
where status = 'signing' and started_at < $1
order by started_at asc`;
