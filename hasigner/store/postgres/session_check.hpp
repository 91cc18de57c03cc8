#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

/// What the sessions of one store have found out about the database.
struct KnownDatabase {
  int schema_version = 0;                   ///< 0: no session has looked yet
  std::shared_ptr<const StoreEpoch> epoch;  ///< of the session that was checked last; null: none was
  std::string table_oid;                    ///< of validator_duties, as the first session found it
  std::string released_oid;                 ///< of ha_signer_released, likewise
  /// Whether the session that was checked last has found ha_signer_claim_signed(), and may call it. A database that no
  /// migration of this program has seen lately lacks it, which is not an error.
  bool claims_signed = false;
  bool has_rounds = false;  ///< the same for the columns and the function that JournalRounds needs
  /// The newest timeline of each server (by system id) that a session was on.
  std::map<std::string, std::uint64_t> newest_timelines;
  std::string last_system_id;  ///< of the session that was opened or checked again last
  std::string last_server_started;
  bool tells_timeline = true;  ///< false: a server that does not was accepted, so that it is not asked again
};

/// What stands where a server does not tell its timeline, so that a former primary cannot be told apart.
enum class WithoutTimeline : std::uint8_t {
  kRefused,
  /// All servers that the URL can lead to work on one storage, which replicates below them (Amazon Aurora and the
  /// like): there is no second history that a failover could leave behind.
  kStorageReplicates,
};

/// Looks at the database that a new session has reached, and writes what it finds into `known`.
///
/// Refuses a server in recovery, anything but one plain permanent table validator_duties of the shape that this program
/// knows, a database without our own objects (the triggers that raise the watermarks among them), another cluster or
/// another table than the first session found, and a timeline that a failover has already left behind. Each refusal
/// names the cause and what mends it. A session on a newer timeline, or on another server, outdates all others.
///
/// A server whose functions do not tell the timeline is refused, or used without it, as `without_timeline` says.
/// `leader`: what another store knows of the same database; a session on another server or on an older timeline than
/// that store's is refused. Null: there is no such store.
[[nodiscard]] SessionCheck session_check(std::shared_ptr<KnownDatabase> known, WithoutTimeline without_timeline,
                                         std::shared_ptr<const KnownDatabase> leader = nullptr);

/// The same for a session that is open already, when the schema may have changed: it says nothing about others.
[[nodiscard]] SessionCheck look_again(std::shared_ptr<KnownDatabase> known, WithoutTimeline without_timeline,
                                      std::shared_ptr<const KnownDatabase> leader = nullptr);

/// A timeline as the names of log files begin with it: 8 hex digits; empty for 0, which stands for one that the server
/// does not tell.
[[nodiscard]] std::string timeline_text(std::uint64_t timeline);

/// The part of the check that needs no timeline, for a single look at a database.
[[nodiscard]] SqlStatement database_check_statement();
[[nodiscard]] std::optional<std::string> refuse_database(const SqlRows& rows);

/// What refuse_database() looks at, in its order.
enum class DatabasePart : std::uint8_t { kRecovery, kTable, kShape, kOwnObjects };
/// The same for one part, whatever is wrong with the others.
[[nodiscard]] std::optional<std::string> refuse_part(const SqlRows& rows, DatabasePart part);
/// Whether that answer shows a table validator_duties on the search path.
[[nodiscard]] bool shows_table(const SqlRows& rows);
/// The version of the shared tables in that answer; 0 where there is none.
[[nodiscard]] int schema_version_in(const SqlRows& rows);

}  // namespace hasigner::postgres
