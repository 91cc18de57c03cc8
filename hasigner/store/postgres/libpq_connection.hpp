#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/store/postgres/connect_failure.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

/// How long the server lets a statement work, and wait for a lock; 0 is without limit.
struct StatementLimits {
  milliseconds statement{};
  milliseconds lock{};

  friend bool operator==(const StatementLimits&, const StatementLimits&) = default;
};

/// One session of one life of one server; a process id alone is used again.
struct SessionId {
  std::string process_id;
  std::string started_at;
  std::string server_started_at;

  friend bool operator==(const SessionId&, const SessionId&) = default;
};

/// An attempt to connect, seen from outside.
struct ConnectProgress {
  std::string waiting_for;  ///< what is true when the caller gives up meanwhile
  bool given_up = false;
  std::function<void()> interrupt;  ///< ends the step in progress

  void give_up() {
    given_up = true;
    if (interrupt) interrupt();
  }
};

struct LibpqSession;

/// One connection to a PostgreSQL server, by libpq, asynchronously.
///
/// Every step is bounded by a deadline. When an answer has not come in time, or the server has ended the session, the
/// connection is closed and no longer usable().
/// Ownership: the socket is libpq's. What runs on a connection keeps it alive.
/// Thread safety: one executor; one run at a time.
class LibpqConnection {
 public:
  using Opened = std::expected<std::unique_ptr<LibpqConnection>, ConnectFailure>;

  /// Connects to one server and puts the session into the state that the store relies on, whatever settings the role or
  /// the database has: READ COMMITTED, UTC, time-outs, keepalives, plans.
  [[nodiscard]] static asio::awaitable<Opened> open(asio::any_io_executor executor,
                                                    std::shared_ptr<const ConnectionString> where, ServerAddress server,
                                                    StatementLimits limits, MonotonicTime deadline,
                                                    std::shared_ptr<ConnectProgress> progress);

  ~LibpqConnection();
  LibpqConnection(const LibpqConnection&) = delete;
  LibpqConnection& operator=(const LibpqConnection&) = delete;

  /// Runs the statements of a request under these limits: each one transaction with its own Sync.
  ///
  /// A statement whose prepared form the session has lost (a pooler, DEALLOCATE, a changed table) is prepared again; it
  /// and the statements after it are then executed again. Errors: kNotSent only if nothing was handed to the socket;
  /// kLost without a notice closes the connection.
  [[nodiscard]] asio::awaitable<SqlReply> run(std::shared_ptr<const SqlRequest> request, StatementLimits limits);

  /// Runs a script as it stands (the simple protocol); the rows are those of each of its statements.
  [[nodiscard]] asio::awaitable<SqlReply> run_script(std::string script, MonotonicTime deadline);

  [[nodiscard]] bool usable() const;
  [[nodiscard]] const SessionId& session() const;
  /// Whether the process that answered when the connection was made is not the server's process that serves it.
  [[nodiscard]] bool behind_pooler() const;
  [[nodiscard]] const StatementLimits& limits() const;

  /// Calls `ended` once, when the connection ends while nothing runs on it.
  void on_end_while_idle(std::function<void()> ended);

  /// Ends the session. A run in flight is finished with kLost.
  void close();

 private:
  explicit LibpqConnection(std::shared_ptr<LibpqSession> session);
  std::shared_ptr<LibpqSession> session_;
};

}  // namespace hasigner::postgres
