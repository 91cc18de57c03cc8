#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hasigner/store/postgres/libpq_connection.hpp"

struct pg_conn;

namespace hasigner::postgres {

struct PgFinish {
  void operator()(pg_conn* pg) const;
};
using PgConnectionPointer = std::unique_ptr<pg_conn, PgFinish>;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct PreparedStatement {
  std::string name;
  bool ready = false;
  bool stale = false;  ///< the session's own must be taken away first
};

/// What a socket is waited for to be ready for.
struct Readiness {
  bool to_read = false;
  bool to_write = false;
};

/// What a LibpqConnection and everything that runs on it share: libpq's connection, its socket, and what is known of
/// the server's session.
struct LibpqSession : std::enable_shared_from_this<LibpqSession> {
  LibpqSession(asio::any_io_executor executor, std::shared_ptr<const ConnectionString> string);
  ~LibpqSession();

  /// The socket is libpq's, so Asio must have forgotten it before libpq closes it.
  void forget_socket();
  void shut();
  void watch_socket(Readiness awaited);
  /// Takes in what the server sent unasked. Returns false when the session has ended.
  bool consume_unasked();
  void look_while_idle();
  /// What libpq says is wrong, without secrets.
  [[nodiscard]] std::string complaint() const;
  PreparedStatement& prepared_for(std::string_view text);
  /// Nothing runs on the session any more.
  void become_idle();
  /// Makes the server's notices known to this session.
  void receive_notices();

  std::shared_ptr<const ConnectionString> where;
  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;  ///< its deadline is that of the wait in progress; cancelling it ends the wait
  std::uint64_t watch = 0;   ///< raised for a new socket: waits on an earlier one are ignored
  bool reading = false;
  bool writing = false;
  bool running = false;
  bool ending = false;  ///< the server said that it ends the session
  bool behind_pooler = false;
  std::string warning;  ///< the first one since the request began that may speak of its commit
  std::uint64_t notices = 0;
  std::function<void()> on_end;
  SessionId id;
  StatementLimits limits;
  std::unordered_map<std::string, PreparedStatement, StringHash, std::equal_to<>> prepared;
  PgConnectionPointer pg;
};

using SessionPointer = std::shared_ptr<LibpqSession>;

[[nodiscard]] bool is_past(MonotonicTime deadline);

/// Waits until the socket may be ready, the session is shut, or the deadline.
asio::awaitable<void> wait(SessionPointer session, Readiness awaited, MonotonicTime deadline);

enum class Exchanged : std::uint8_t { kEverything, kMoreToSend, kBroken };

/// Takes in what has arrived and sends what can be sent.
[[nodiscard]] Exchanged exchange(LibpqSession& session);

/// Says why nothing can be sent, and that nothing was; returns nullopt when the session is ready.
[[nodiscard]] std::optional<SqlError> reason_not_to_send(LibpqSession& session, MonotonicTime deadline);

/// Shuts the session, and says why what was sent has no answer.
[[nodiscard]] SqlError lost(LibpqSession& session, std::string why);
[[nodiscard]] SqlError lost_in_time(LibpqSession& session);
/// After an answer that does not belong to what was asked.
[[nodiscard]] SqlError lost_out_of_step(LibpqSession& session);
[[nodiscard]] SqlError lost_by_closing();

}  // namespace hasigner::postgres
