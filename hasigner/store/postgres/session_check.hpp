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
  /// Whether the session that was checked last has found ha_signer_claim_signed(), and may call it. A database that no
  /// migration of this program has seen lately lacks it, which is not an error.
  bool claims_signed = false;
  /// The newest timeline of each server (by system id) that a session was on.
  std::map<std::string, std::uint64_t> newest_timelines;
  std::string last_system_id;  ///< of the session that was opened or checked again last
};

/// Looks at the database that a new session has reached, and writes what it finds into `known`.
///
/// Refuses a server in recovery, anything but one plain permanent table validator_duties of the shape that this program
/// knows, a database without our own objects (the triggers that raise the watermarks among them), another cluster or
/// another table than the first session found, and a timeline that a failover has already left behind. Each refusal
/// names the cause and what mends it. A session on a newer timeline, or on another server, outdates all others.
[[nodiscard]] SessionCheck session_check(std::shared_ptr<KnownDatabase> known);

/// A timeline as the names of log files begin with it: 8 hex digits.
[[nodiscard]] std::string timeline_text(std::uint64_t timeline);

/// The same as a statement of its own, for when the schema may have changed under open sessions.
[[nodiscard]] SqlStatement session_check_statement();
[[nodiscard]] std::optional<std::string> refuse_session(const SqlRows& rows, KnownDatabase& known);

}  // namespace hasigner::postgres
