#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hasigner/store/sql/sql_templates.hpp"

namespace hasigner::postgres {

using sql::BatchForm;

/// The statements of the PostgreSQL store for one version of the shared tables.
///
/// Each stands in the file of its name in sql/, which says what it does, and what its parameters and rows are;
/// scripts/sql shows it as it is sent. Each is complete in itself and one transaction of its own: no two of them need
/// the same connection. Values are parameters, never part of a text. Statements about the duties of a batch take one
/// column of them a parameter, in either form, and name a duty in their answers by its position in the batch (`ord`,
/// from 1).
///
/// Rules that hold in all of them:
/// - Rows are found by a lateral lookup of the whole key for each element. Its `offset 0` or `limit 1` keeps the
///   planner from joining in any other way, whatever the statistics say.
/// - Times of rows of ours are UTC by the server's clock: `… at time zone 'UTC'`.
/// - Hashes and signatures are compared in lower case, since other clients may have written them in upper case.
struct SqlTexts {
  std::string claim;
  std::string claim_signed;
  std::string look;
  std::string take_over;
  std::string replace;
  std::string record;
  std::string release;
  std::string release_claimed;
  std::string about_message;

  // Plain reads with the parameters of their namesakes, which say what the namesake would match.
  std::string would_take_over;
  std::string would_replace;
  std::string would_record;
  std::string would_release;

  // Registry.
  std::string register_node;
  std::string holder;
  std::string renew;
  std::string end_lease;
  std::string confirm_stored;

  // Rounds in which nodes compare their journals.
  std::string begin_round;
  std::string journaled_nodes;
  std::string tell_round;
  std::string leave_rounds;
  std::string give_up_nodes;
  std::string forbid_up_to;

  // Removal: rows affected are what counts.
  std::string remove_abandoned;
  std::string remove_stuck;
  std::string remove_old;
  std::string remove_expired;  ///< empty below version 3
  std::string remove_other_rollups;
  std::string remove_released;
  std::string foreign_rows;

  // As the removals, without a limit.
  std::string count_abandoned;
  std::string count_stuck;
  std::string count_old;
  std::string count_expired;  ///< empty below version 3
  std::string count_other_rollups;
  std::string count_released;

  // History.
  std::string duties;
  std::string duties_being_signed;
  std::string nodes;
  std::string remove_node;
  std::string watermarks;
  std::string set_watermarks;
  std::string key_switches;
  std::string set_key_switch;
  std::string replication;
  std::string lacking_rights;
  std::string export_history;
  std::string import_conflicts;
  std::string import_history;

  // What is asked before the store works with a database.
  std::string session_settings;
  std::string session_limits;
  std::string session_id;
  std::string session_process;
  std::string session_check;
  std::string session_check_without_timeline;
  std::string session_timeline;
  std::string sessions_alive;
  std::string claim_is_at_work;

  // What a migration asks and writes.
  std::string schema_role;
  std::string schema_lock;
  std::string schema_tables;
  std::string schema_columns;
  std::string schema_other_tables;
  std::string schema_missing;
  std::string schema_signer_roles;
  std::string schema_versions;
  std::string schema_own_version;
  std::string schema_list;
  std::string schema_add_to_list;
  std::string schema_remove_from_list;
  std::string schema_grant_to;
  std::string nodes_at_work;
  std::string foreign_nodes_at_work;

  // What a check of a deployment asks. They write nothing, have no parameters, and need no right but to connect.
  std::string server_is_standby;
  std::string deployment_server;
  std::string deployment_settings;
  std::string deployment_structure;
  std::string deployment_objects;
  std::string deployment_rights;
  std::string deployment_owners;
  std::string deployment_connections;
  std::string deployment_sessions;
  std::string deployment_clock;
};

/// A statement and its file, sql/NAME.sql.
struct SqlTextFile {
  std::string_view name;
  std::string SqlTexts::*text;
  int since_version = 1;  ///< of the shared tables; below it the text is empty
};

/// Every member of SqlTexts.
[[nodiscard]] std::span<const SqlTextFile> sql_text_files();

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
};

/// Columns of the rows of SqlTexts::release_claimed.
enum ReleasedColumn : std::size_t {
  kClaimedOrd,
  kClaimedSlot,
  kClaimedDutyType,
  kClaimedBlockIndex,
  kIsWritten,
  kReleasedSignature,
  kClaimedLowSlot,
  kClaimedHighSlot,
  kOtherHash,  ///< of a row of the same duty under another letter case or block index, with other data
  kOtherNode,
  kReleasedHash,
  kReleasedDigest,
  kReleasedBy,
  kReleasedColumns,
};

/// Columns of the rows of SqlTexts::about_message.
enum AboutColumn : std::size_t {
  kAboutWhat,  ///< `row`, `released` or `instead`
  kAboutRollup,
  kAboutValidator,
  kAboutSlot,
  kAboutDutyType,
  kAboutBlockIndex,
  kAboutStatus,
  kAboutMessageHash,
  kAboutNodeId,
  kAboutColumns,
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

/// The beginnings of the statements that claim. Each is the same in all versions and forms, and no other statement has
/// it: pg_stat_activity shows by them which sessions make a claim.
struct BeginningsOfClaims {
  std::string claim;
  std::string claim_signed;
};
[[nodiscard]] BeginningsOfClaims beginnings_of_claims();

/// The files in sql/ that the statements are made of.
[[nodiscard]] std::span<const sql::SqlFile> sql_files();

}  // namespace hasigner::postgres
