#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/history.hpp"

namespace hasigner::postgres {

/// One SQL statement with its parameters, all in PostgreSQL's text form; nullopt stands for NULL.
///
/// No two columns of its answer have the same name: some executors get rows by name only.
struct SqlStatement {
  std::string_view text;  ///< must outlive the executor: texts are constants or members of the store
  std::vector<std::optional<std::string>> parameters;
};

/// Who goes first when connections are scarce.
enum class SqlPriority : std::uint8_t { kHeartbeat, kRecord, kRelease, kClaim, kPoll, kBackground };

/// Statements that go out together, in one write where the executor can: each one transaction of its own, with its own
/// Sync, unless they may share one.
struct SqlRequest {
  std::vector<SqlStatement> statements;
  SqlPriority priority = SqlPriority::kBackground;
  /// The answer must be a confirmed commit: a warning that came with it (a wait for synchronous replication that was
  /// cancelled) counts as no answer, unless a PL/pgSQL function surely raised it (by its position in the server's
  /// source, not by its text or code); and the executor never cancels the statement.
  bool confirm = false;
  MonotonicTime deadline;
  /// The statements may be one transaction where a single write carries them all: then no client can be stopped in its
  /// midst. Each still has a snapshot of its own.
  bool may_share_transaction = false;
  /// Asked right before the request goes to a session that has been checked. Where it says no, nothing is sent, now or
  /// later. Empty: it may be sent.
  std::function<bool()> may_be_sent = {};

  [[nodiscard]] bool is_refused() const { return may_be_sent && !may_be_sent(); }
};

struct SqlRows {
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::uint64_t affected = 0;
};

enum class SqlErrorKind : std::uint8_t {
  kNotSent,       ///< no connection in time, queue full, refused: nothing was executed
  kLost,          ///< sent, but not confirmed: it may have been executed, or may still be
  kServer,        ///< the server answered with an error: that statement changed nothing
  kIncompatible,  ///< the session check refused this database
};

struct SqlError {
  SqlErrorKind kind = SqlErrorKind::kNotSent;
  std::string sqlstate;  ///< five characters for kServer, else empty
  std::string message;   ///< for a person; never holds the connection string's password
};

/// Rows of each statement of a request, in order. An error is that of the first statement that failed; the others of
/// the request may have been executed.
using SqlReply = std::expected<std::vector<SqlRows>, SqlError>;

struct SessionVerdict {
  std::optional<std::string> refusal;  ///< why the session must not serve; nullopt when it may
  /// The database that other sessions were opened on has been replaced by the one of this session (a failover): they
  /// must not serve any more, and what they have not answered yet is lost.
  bool outdates_others = false;
};

/// What each new session is asked before it serves a request, and an old one again before it serves a claim.
struct SessionCheck {
  std::function<SqlStatement()> statement;
  std::function<SessionVerdict(const SqlRows&)> judge;
  /// Asked when the server answers the statement with an error that asking again does not mend; judged together with
  /// that error. Empty: such an error is a refusal.
  SqlStatement lesser_statement = {};
  std::function<SessionVerdict(const SqlRows&, const SqlError&)> judge_lesser = {};
  /// What the lesser statement leaves out. Asked when that one fails, too, so that one refusal names both causes.
  SqlStatement rest_statement = {};
  std::function<std::optional<std::string>(const SqlError&)> refuse_rest = {};
};

/// Asks a session, and less if it cannot answer everything. An error that asking again does not mend is a refusal.
/// `ask` runs one statement.
///
/// Errors: those of `ask`, other than that.
[[nodiscard]] asio::awaitable<std::expected<SessionVerdict, SqlError>> run_check(
    SessionCheck check, std::function<asio::awaitable<SqlReply>(SqlStatement)> ask);

/// Port of the PostgreSQL store: runs SQL texts. libpq is behind it here; any pool with `query(text, values)` can be.
///
/// Thread safety: one executor.
class SqlExecutor {
 public:
  virtual ~SqlExecutor() = default;

  [[nodiscard]] virtual asio::awaitable<SqlReply> run(SqlRequest request) = 0;

  /// Must be set before the first run. A session is asked again before it serves a claim if it was not asked lately.
  virtual void set_session_check(SessionCheck check) = 0;

  /// Connections that requests of these priorities may use at once; at least 1.
  [[nodiscard]] virtual std::size_t parallel_requests() const = 0;

  /// Whether a session that was lost with a request in flight may still be alive on its server, and so still carry it
  /// out. Asks the server. An error means that it could not be found out.
  [[nodiscard]] virtual asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime deadline) = 0;

  /// Returns nullopt when the executor does not know.
  [[nodiscard]] virtual std::optional<ConnectionCounts> connections() const { return std::nullopt; }

  virtual asio::awaitable<void> close() = 0;
};

}  // namespace hasigner::postgres
