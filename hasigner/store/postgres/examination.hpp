#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/store/postgres/connect_failure.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

/// One server of a URL, as it was found.
struct ExaminedServer {
  std::string name;
  std::optional<ConnectFailure> failure;  ///< nullopt: it answered
  bool in_recovery = false;
  std::string started_at;  ///< the same for two names of one server
};

/// A look at the servers of a URL that changes nothing.
///
/// Every question runs in a READ ONLY transaction of its own, with time-outs for the statement and for locks. No
/// setting is left behind that a pooler could hand to another program.
/// Blocking: a call returns when it is done. Thread safety: one call at a time.
class Examination {
 public:
  /// Connects to every server of the URL, standbys too, and keeps the connection to the first primary; where there is
  /// none, to the first server that answered. Errors: InvalidInput for the URL.
  [[nodiscard]] static Parsed<Examination> open(std::string_view url);

  [[nodiscard]] const ConnectionString& where() const;
  [[nodiscard]] const std::vector<ExaminedServer>& servers() const;
  [[nodiscard]] bool is_connected() const;
  [[nodiscard]] bool behind_pooler() const;
  /// Runs one statement without parameters. Errors: as SqlExecutor; kNotSent where nothing is connected.
  [[nodiscard]] std::expected<SqlRows, SqlError> ask(std::string_view statement);

  Examination(Examination&&) noexcept;
  Examination& operator=(Examination&&) noexcept;
  ~Examination();

 private:
  struct State;
  explicit Examination(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hasigner::postgres
