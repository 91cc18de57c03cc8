#pragma once

#include <string>
#include <string_view>

namespace hasigner::cli::doctor {

/// As whom and to what a connection was tried.
struct ConnectionAttempt {
  std::string role;
  std::string database;
  std::string url_setting;  ///< `VALIDATOR_HA_DATABASE_URL`
};

/// What mends the refusal of a connection, from the message of the server or of libpq; empty where the message is not
/// known.
[[nodiscard]] std::string mend_of_refusal(std::string_view message, const ConnectionAttempt& attempt);

}  // namespace hasigner::cli::doctor
