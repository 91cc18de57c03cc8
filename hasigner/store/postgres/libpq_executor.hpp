#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

struct PoolConfig {
  std::string url;                     ///< a secret: it may hold a password
  std::size_t max = 10;                ///< connections, at least 1
  std::size_t min = 0;                 ///< idle connections that are kept
  milliseconds idle_timeout{10'000};   ///< after which an idle connection is closed; 0 is never
  milliseconds connection_timeout{0};  ///< longest wait of a request for a connection; 0: only the request's deadline
  milliseconds statement_timeout{10'000};  ///< of the server, for requests that need no confirmation
  /// For how long the answer to the session check holds; then the session is asked again before it serves a claim. The
  /// tables behind an open session can be dropped and made again, and the server behind a pooler can change.
  milliseconds check_holds{3'000};
};

/// The executor over libpq: a pool of connections that requests wait for in order of priority.
///
/// A server that refuses, starts up or is gone is waited for within each request's deadline. Several stores may share
/// it. Lifetime: the context behind the given executor must outlive it. Thread safety: one executor. Its functions must
/// be called there.
class LibpqExecutor final : public SqlExecutor {
 public:
  /// Errors: InvalidInput for the URL or a number. Connects to nothing yet.
  [[nodiscard]] static Parsed<std::shared_ptr<LibpqExecutor>> create(asio::any_io_executor executor, PoolConfig config);

  ~LibpqExecutor() override;
  LibpqExecutor(const LibpqExecutor&) = delete;
  LibpqExecutor& operator=(const LibpqExecutor&) = delete;

  /// Opens the first connection. Until it has, what cannot get better by waiting (a wrong password, an unknown
  /// database, a refusal by the session check) fails at once, and all waiting requests with it. Errors: kNotSent,
  /// kIncompatible; the message says what was tried and why it failed.
  [[nodiscard]] asio::awaitable<std::expected<void, SqlError>> connect_first(MonotonicTime deadline);

  [[nodiscard]] asio::awaitable<SqlReply> run(SqlRequest request) override;
  void set_session_check(SessionCheck check) override;
  [[nodiscard]] std::size_t parallel_requests() const override;
  [[nodiscard]] asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime deadline) override;
  [[nodiscard]] std::optional<ConnectionCounts> connections() const override;
  asio::awaitable<void> close() override;

  /// The URL without its secrets.
  [[nodiscard]] const std::string& shown_url() const;

 private:
  struct State;
  explicit LibpqExecutor(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::postgres
