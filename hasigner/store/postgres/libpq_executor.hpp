#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"
#include "hasigner/store/postgres/sql_pool.hpp"

namespace hasigner::postgres {

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
