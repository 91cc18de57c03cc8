#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tests/support/postgres_server.hpp"

namespace hasigner::test {

/// PgBouncer in front of a test's server, on a free port of the loopback interface, as a child process.
///
/// Errors: std::runtime_error with the end of its log.
class PgBouncer {
 public:
  /// `mode`: session, transaction or statement; `settings`: further lines of its file.
  PgBouncer(const PostgresServer& server, std::string_view mode, std::string_view settings = "");
  ~PgBouncer();
  PgBouncer(const PgBouncer&) = delete;
  PgBouncer& operator=(const PgBouncer&) = delete;

  [[nodiscard]] std::string url(std::string_view database) const;
  /// Ends the connections to the server as a restart of the pooler would.
  void restart();

 private:
  void start();
  void end();

  std::filesystem::path folder_;
  std::string program_;
  std::uint16_t port_ = 0;
  pid_t process_ = 0;
};

}  // namespace hasigner::test
