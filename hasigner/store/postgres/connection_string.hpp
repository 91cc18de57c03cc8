#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::postgres {

/// One server that a connection string names; empty members were not given.
struct ServerAddress {
  std::string host;
  std::string host_address;
  std::string port;
};

/// A parsed PostgreSQL connection string: a URL (`postgresql://…`) or libpq's `key=value` form.
///
/// What it does not say gets the defaults of a signer: only a server that takes writes
/// (target_session_attrs=read-write), TCP keepalives and tcp_user_timeout, so that a dead server is noticed within some
/// ten seconds. Holds the password: show it by shown() only.
class ConnectionString {
 public:
  /// White space at the edges of the text, and line breaks in a URL, are left out.
  /// Errors: InvalidInput for "database URL"; its value never shows a password. A parameter that libpq does not know is
  /// named, with what to do about it.
  [[nodiscard]] static Parsed<ConnectionString> parse(std::string_view given);

  /// At least one; in the order in which they are to be tried.
  [[nodiscard]] const std::vector<ServerAddress>& servers() const { return servers_; }

  /// libpq's keywords and values for everything but the server's address.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& parameters() const { return parameters_; }

  /// Bounds the connection to one server: connect_timeout of the string, 5 s without one.
  [[nodiscard]] std::chrono::milliseconds connect_timeout() const { return connect_timeout_; }

  /// As a URL without its secrets, for a person.
  [[nodiscard]] const std::string& shown() const { return shown_; }

  /// The same string for a look at each of its servers, standbys included.
  [[nodiscard]] ConnectionString for_any_server() const;
  /// The value of one of libpq's keywords; empty where neither the string nor the defaults above have it.
  [[nodiscard]] std::string parameter(std::string_view keyword) const;

  /// Takes the secrets out of a text that libpq or the server wrote.
  [[nodiscard]] std::string scrub(std::string text) const;

 private:
  std::vector<ServerAddress> servers_;
  std::vector<std::pair<std::string, std::string>> parameters_;
  std::vector<std::string> secrets_;
  std::chrono::milliseconds connect_timeout_{};
  std::string shown_;
};

/// Makes a connection string safe to show, be it a correct one or not.
[[nodiscard]] std::string mask_password(std::string_view given);

}  // namespace hasigner::postgres
