#pragma once

// What the parts of LibpqExecutor share: libpq_executor.cpp runs requests, libpq_executor_open.cpp opens and checks
// sessions.

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "hasigner/store/postgres/connection_pool.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/libpq_connection.hpp"
#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/lost_sessions.hpp"

namespace hasigner::postgres {

using ConnectionIndex = ConnectionPool::ConnectionIndex;
using RequestId = ConnectionPool::RequestId;
using ReplyHandler = std::move_only_function<void(SqlReply)>;

[[nodiscard]] inline SqlError not_sent(std::string message) {
  return {SqlErrorKind::kNotSent, {}, std::move(message)};
}

struct LibpqExecutor::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor on, PoolConfig with, ConnectionString to)
      : executor(on),
        config(std::move(with)),
        where(std::make_shared<const ConnectionString>(std::move(to))),
        pool(PoolLimits{.max = config.max, .min = config.min, .idle_timeout = config.idle_timeout}),
        connections(config.max),
        alarm(on),
        drained(on) {}

  struct WaitingRequest {
    std::shared_ptr<const SqlRequest> request;
    MonotonicTime wait_until;
    ReplyHandler handler;
  };
  struct Connection {
    std::unique_ptr<LibpqConnection> libpq;
    std::shared_ptr<ConnectProgress> progress;
    std::uint64_t generation = 0;
    MonotonicTime checked_at{};
  };

  [[nodiscard]] static MonotonicTime now() { return std::chrono::steady_clock::now(); }

  void submit(SqlRequest request, ReplyHandler handler);
  void pump();
  void act(const ConnectionPool::Action& action);
  void set_alarm();
  void spawn(asio::awaitable<void> work);
  static asio::awaitable<SqlReply> run(std::shared_ptr<State> self, SqlRequest request);
  static asio::awaitable<std::expected<void, SqlError>> connect_first(std::shared_ptr<State> self,
                                                                      MonotonicTime deadline);
  static asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(std::shared_ptr<State> self,
                                                                            MonotonicTime deadline);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, RequestId id, ConnectionIndex index);
  static asio::awaitable<void> open(std::shared_ptr<State> self, ConnectionIndex index);
  static asio::awaitable<std::optional<ConnectFailure>> open_at(std::shared_ptr<State> self, ConnectionIndex index,
                                                                ServerAddress server);
  static asio::awaitable<std::optional<ConnectFailure>> check_session(std::shared_ptr<State> self,
                                                                      ConnectionIndex index);
  static asio::awaitable<void> close(std::shared_ptr<State> self);
  static asio::awaitable<std::optional<ConnectFailure>> check_pooler(std::shared_ptr<State> self, ConnectionIndex index,
                                                                     ServerAddress server);
  static asio::awaitable<bool> keeps_session(std::shared_ptr<State> self, ConnectionIndex index,
                                             MonotonicTime deadline);
  static asio::awaitable<bool> check_again(std::shared_ptr<State> self, ConnectionIndex index, MonotonicTime deadline);
  enum class Confirm : std::uint8_t { kNo, kYes };
  static asio::awaitable<std::expected<SessionVerdict, SqlError>> ask_check(std::shared_ptr<State> self,
                                                                            ConnectionIndex index,
                                                                            MonotonicTime deadline, Confirm confirm);
  std::optional<std::string> accept(ConnectionIndex index, SessionVerdict verdict);
  void end_outdated();
  [[nodiscard]] bool outdated(ConnectionIndex index) const { return connections[index].generation != generation; }
  void connected(ConnectionIndex index);
  void not_connected(ConnectionIndex index, ConnectFailure failure);
  void served(RequestId id, ConnectionIndex index, SqlReply reply);
  void complete(RequestId id, SqlReply reply);
  void fail_waiting(const SqlError& error);
  void shut_down();
  [[nodiscard]] SqlError gave_up() const;
  [[nodiscard]] StatementLimits limits_of(Lane lane) const;

  asio::any_io_executor executor;
  PoolConfig config;
  std::shared_ptr<const ConnectionString> where;
  ConnectionPool pool;
  std::vector<Connection> connections;
  std::unordered_map<RequestId, WaitingRequest> requests;
  RequestId last_request = 0;
  std::optional<SessionCheck> check;
  std::uint64_t generation = 0;  ///< of the sessions that may serve; an older one knows a database that was replaced
  std::optional<ConnectFailure> last_failure;  ///< since a connection was last opened
  std::size_t preferred_server = 0;            ///< the one that worked last
  std::size_t starting = 0;                    ///< calls of connect_first that wait
  bool pooler_keeps_sessions = false;          ///< found out with the first connection through a pooler
  LostSessions lost;
  std::minstd_rand jitter{std::random_device{}()};
  asio::steady_timer alarm;
  std::optional<MonotonicTime> alarm_time;
  asio::steady_timer drained;
  std::size_t working = 0;  ///< coroutines
  bool closed = false;
  bool pumping = false;
  bool pump_again = false;
};

}  // namespace hasigner::postgres
