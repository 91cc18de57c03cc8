#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

/// What the sessions of one store have found out about the database.
struct KnownDatabase {
  int schema_version = 0;                   ///< 0: no session has looked yet
  std::shared_ptr<const StoreEpoch> epoch;  ///< of the session that was opened last; null: none was
};

/// Looks at the database that a new session has reached, and writes what it finds into `known`.
///
/// Refuses a server in recovery, anything but one plain permanent table validator_duties of the shape that this program
/// knows, a database without our own objects, and another cluster than the first session found. Each refusal names the
/// cause and what mends it.
[[nodiscard]] SessionCheck session_check(std::shared_ptr<KnownDatabase> known);

/// The same as a statement of its own, for when the schema may have changed under open sessions.
[[nodiscard]] SqlStatement session_check_statement();
[[nodiscard]] std::optional<std::string> refuse_session(const SqlRows& rows, KnownDatabase& known);

}  // namespace hasigner::postgres
