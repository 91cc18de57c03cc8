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
