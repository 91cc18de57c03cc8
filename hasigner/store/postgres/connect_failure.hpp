#pragma once

#include <string>
#include <string_view>

namespace hasigner::postgres {

/// Why there is no connection.
struct ConnectFailure {
  bool permanent = false;     ///< trying again ends the same way unless something is changed
  bool incompatible = false;  ///< this is not the database or the server that was expected
  std::string message;        ///< for a person, without secrets
};

/// Why a pooler is refused. The isolation, the time zone and the time-outs that statements rely on are settings of a
/// session, and so is the answer to the question whether a session that was lost is still at work.
inline constexpr std::string_view kPoolerKeepsNoSessions =
    "the pooler between this node and PostgreSQL keeps no session for a connection (its pool mode is transaction or "
    "statement), so settings that signing relies on would be lost: use pool_mode = session, or connect to the server "
    "itself";

/// What libpq says about a failed connection, made a sentence; and the server's SQLSTATE, if it was the server that
/// refused.
struct ConnectComplaint {
  std::string sqlstate;
  std::string message;
};
[[nodiscard]] ConnectComplaint read_connect_complaint(std::string_view libpq_text);

/// Whether connecting again ends the same way unless something is changed.
[[nodiscard]] bool is_permanent(const ConnectComplaint& complaint);

/// The text without line breaks.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace hasigner::postgres
