#pragma once

#include <cstdint>
#include <string>

namespace hasigner::postgres {

/// How the duties of a batch are given to its statement: one array a column, or, for a batch of one, plain values.
enum class BatchForm : std::uint8_t { kMany, kOne };

/// The statements of the PostgreSQL store for one version of the shared tables.
///
/// Each is complete in itself and one transaction of its own: no two of them need the same connection. Values are
/// parameters, never part of a text. Statements about the duties of a batch take one column of them a parameter, in
/// either form, and name a duty in their answers by its place in the batch (`ord`, from 1).
///
/// Rules that hold in all of them:
/// - Rows are found by a lateral lookup of the whole key for each element. Its `offset 0` or `limit 1` keeps the
/// planner
///   from joining in any other way, whatever the statistics say.
/// - Times of rows of ours are UTC by the server's clock: `… at time zone 'UTC'`.
/// - Hashes and signatures are compared in lower case, since other clients may have written them in upper case.
struct SqlTexts {
  // A key is five columns: $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index.

  /// key, $6 block number, $7 checkpoint number, $8 message hash, $9 lock token; $10 node id, $11 hours to keep the
  /// row, $12 lock time-out in ms, $13 synchronous_commit (null: as the session has it).
  std::string claim;
  /// key, $6 block number, $7 checkpoint number, $8 message hash, $9 lock token, $10 signature; $11 node id, $12 hours
  /// to keep the row, $13 lock time-out in ms, $14 and $15 as $9 and $10 of record. A call of ha_signer_claim_signed(),
  /// which a database may lack. Rows: LookColumn, and kApplied: of each element that is applied its ord alone, of each
  /// other one what look gives.
  std::string claim_signed;
  /// key. Rows: LookColumn.
  std::string look;
  /// key, $6 message hash, $7 token seen, $8 lock token; $9 node id. Rows: ord of what is held now.
  std::string take_over;
  /// As take_over, and $10 block number, $11 checkpoint number.
  std::string replace;
  /// key, $6 lock token, $7 message hash (null: any), $8 signature, $9 oid of the table and $10 timeline (8 hex digits)
  /// that are known. Rows: ord of what is signed now.
  std::string record;
  /// key, $6 lock token. Rows: ord of what is deleted now.
  std::string release;

  // Plain reads with the parameters of their namesakes. Rows: ord of what the namesake would match.
  std::string would_take_over;
  std::string would_replace;
  std::string would_record;
  std::string would_release;

  // Registry: $1 node id, $2 incarnation, $3 lease in ms.
  std::string register_node;  ///< and $4 heartbeat of a silent holder. One row: registered.
  std::string holder;         ///< $1. Rows: incarnation, heartbeat, lease left in ms.
  std::string renew;          ///< one row: renewed
  std::string end_lease;      ///< $1, $2
  /// key, $6 message hash, $7 signature; $8 node id, $9 and $10 as record. Rows: ord of what is signed so, and null if
  /// the registry row was written.
  std::string confirm_stored;

  // Removal: rows affected are what counts.
  std::string remove_abandoned;      ///< $1 node id, $2 limit
  std::string remove_stuck;          ///< $1 node id, $2 limit, $3 age in ms
  std::string remove_old;            ///< $1 limit, $2 age in ms
  std::string remove_expired;        ///< $1 limit; empty below version 3
  std::string remove_other_rollups;  ///< $1 limit, $2 age in ms, $3 rollup
  /// $1, $2: from and to, hours before now (null: without end). One row if a row of a node that obeys no watermark
  /// began then.
  std::string foreign_rows;

  // As the removals, without limit. One row: count.
  std::string count_abandoned;      ///< $1 node id
  std::string count_stuck;          ///< $1 node id, $2 age in ms
  std::string count_old;            ///< $1 age in ms
  std::string count_expired;        ///< no parameter; empty below version 3
  std::string count_other_rollups;  ///< $1 age in ms, $2 rollup

  // History. Rows of duties: DutyColumn.

  /// $1 rollup, $2 validator, $3 from slot, $4 to slot, $5 duty type, $6 status, $7 node id (null: any), $8 limit.
  std::string duties;
  /// The same for what is being signed, which is little, so that it needs no walk through every validator's past.
  std::string duties_being_signed;
  /// $1 node id. One row: whether it was removed; whether it is registered, alive, and still signs by the snapshot.
  std::string remove_node;
  std::string nodes;       ///< Rows: node id, incarnation, heartbeat, alive, earlier incarnations.
  std::string watermarks;  ///< Rows: rollup, validator, duty type, low, high, updated at.
  /// One row: synchronous_standby_names, standbys needed, connected (null: not to be seen).
  std::string replication;
  /// $1 rollup, $2 validator, $3 duty type, $4 low, $5 high, $6 lock time-out in ms, $7 whether low is to be set,
  /// $8 whether high is, $9 whether more may be allowed. One row: applied, low and high before, low and high after.
  std::string set_watermark;
  /// Rows: DutyColumn, then the columns of `watermarks`; one of the two parts is null.
  std::string export_history;
  /// $1 … $15: a row's columns in the order of DutyColumn. Rows: ord, message hash that is there, whether under the
  /// very key.
  std::string import_conflicts;
  /// $1 … $15 as import_conflicts; $16 rollup, $17 validator, $18 duty type, $19 low, $20 high of watermarks; $21 lock
  /// time-out in ms. One row: inserted, changed from signing to signed, conflicts (if any, nothing was written).
  std::string import_history;
};

/// Columns of the rows of SqlTexts::look. Rows that were found by letter case have no ord, but the duty as it is
/// written.
enum LookColumn : std::size_t {
  kOrd,
  kLowSlot,
  kHighSlot,
  kRowBlockIndex,
  kRowStatus,
  kRowMessageHash,
  kRowSignature,
  kRowNodeId,
  kRowLockToken,
  kRowHolder,  ///< `alive`, `expired` or null
  kWrittenRollup,
  kWrittenValidator,
  kWrittenSlot,
  kWrittenDutyType,
  kLookColumns,
  kApplied = kLookColumns,  ///< of SqlTexts::claim_signed only
  kClaimSignedColumns,
};

/// Columns of whole rows of validator_duties, as text; times are UTC.
enum DutyColumn : std::size_t {
  kDutyRollup,
  kDutyValidator,
  kDutySlot,
  kDutyBlockNumber,
  kDutyCheckpointNumber,
  kDutyBlockIndex,
  kDutyType,
  kDutyStatus,
  kDutyMessageHash,
  kDutySignature,
  kDutyNodeId,
  kDutyLockToken,
  kDutyStartedAt,
  kDutyCompletedAt,
  kDutyExpiresAt,
  kDutyColumns,
};

inline constexpr int kOldestSchemaVersion = 1;
inline constexpr int kNewestSchemaVersion = 3;

/// The statements for a version from kOldestSchemaVersion to kNewestSchemaVersion; they live as long as the program.
/// The form makes a difference to statements about batches only.
[[nodiscard]] const SqlTexts& sql_texts(int schema_version, BatchForm form = BatchForm::kMany);

}  // namespace hasigner::postgres
