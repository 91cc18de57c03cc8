#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "hasigner/protection/clock.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

/// Vital requests keep what this node holds (heartbeat, record, release); general ones acquire (confirmed or not) or
/// look.
enum class Lane : std::uint8_t { kVital, kGeneral };

[[nodiscard]] Lane lane_of(const SqlRequest& request);

struct PoolLimits {
  std::size_t max = 10;               ///< connections, at least 1
  std::size_t min = 0;                ///< idle connections that are kept
  milliseconds idle_timeout{10'000};  ///< after which an idle connection is closed; 0 is never
  std::size_t max_waiting = 10'000;   ///< requests
  milliseconds first_pause{50};       ///< after a failed connection; doubled with each further one
  milliseconds longest_pause{2'000};
};

/// The decisions of a pool of connections: events and the time in, what is to be done out.
///
/// Waiting requests go out by priority, then in order of arrival. One connection never serves general requests, unless
/// the pool has only one. Connections are opened when requests wait, and after a failure one at a time with growing
/// pauses.
class ConnectionPool {
 public:
  using RequestId = std::uint64_t;
  using ConnectionIndex = std::size_t;  ///< below `max`

  struct Start {
    RequestId request;
    ConnectionIndex connection;
    friend bool operator==(const Start&, const Start&) = default;
  };
  struct Open {
    ConnectionIndex connection;
    friend bool operator==(const Open&, const Open&) = default;
  };
  struct Close {
    ConnectionIndex connection;
    friend bool operator==(const Close&, const Close&) = default;
  };
  struct GiveUp {
    RequestId request;
    friend bool operator==(const GiveUp&, const GiveUp&) = default;
  };  ///< its time is up
  using Action = std::variant<Start, Open, Close, GiveUp>;

  explicit ConnectionPool(PoolLimits limits);

  /// Returns false when too many requests wait already.
  [[nodiscard]] bool add(RequestId request, SqlPriority priority, Lane lane, MonotonicTime deadline);
  /// Of a started request of which nothing was sent: it goes to the head of its priority. The full queue takes it too.
  void add_again(RequestId request, SqlPriority priority, Lane lane, MonotonicTime deadline);
  /// Forgets a waiting request.
  void remove(RequestId request);

  void opened(ConnectionIndex index, MonotonicTime now);
  /// `jitter` in [0, 1) spreads the attempts of many nodes.
  void open_failed(ConnectionIndex index, MonotonicTime now, double jitter);
  /// A request has ended, and its connection is idle again.
  void finished(ConnectionIndex index, MonotonicTime now);
  /// A request has ended, and its connection is gone.
  void broke(ConnectionIndex index);
  /// An idle connection is gone.
  void ended(ConnectionIndex index);

  /// What is to be done now. The pool has already taken it as done.
  [[nodiscard]] std::vector<Action> decide(MonotonicTime now);
  /// When to decide() again though nothing has happened.
  [[nodiscard]] std::optional<MonotonicTime> next_decision() const;

  [[nodiscard]] bool is_idle(ConnectionIndex index) const { return connections_[index].state == State::kIdle; }
  [[nodiscard]] std::size_t waiting() const { return requests_.size(); }
  [[nodiscard]] std::size_t connected() const { return count(State::kIdle) + count(State::kBusy); }
  [[nodiscard]] std::size_t opening() const { return count(State::kOpening); }
  [[nodiscard]] std::vector<RequestId> waiting_requests() const;

 private:
  enum class State : std::uint8_t { kClosed, kOpening, kIdle, kBusy };
  struct Connection {
    State state = State::kClosed;
    Lane lane = Lane::kGeneral;  ///< of its latest request: going on in the same one saves it a change of settings
    MonotonicTime idle_since{};
  };
  struct Turn {
    SqlPriority priority;
    std::int64_t arrival;
    friend auto operator<=>(const Turn&, const Turn&) = default;
  };
  struct WaitingRequest {
    Lane lane;
    Turn turn;
    MonotonicTime deadline;
  };

  void insert(RequestId request, Lane lane, Turn turn, MonotonicTime deadline);
  [[nodiscard]] std::size_t count(State state) const;
  [[nodiscard]] std::size_t general_limit() const;
  [[nodiscard]] std::size_t general_running() const;
  [[nodiscard]] std::optional<ConnectionIndex> best_idle(Lane lane) const;
  [[nodiscard]] std::map<Turn, RequestId>& queue(Lane lane) { return lane == Lane::kVital ? vital_ : general_; }
  void give_up(MonotonicTime now, std::vector<Action>& actions);
  void start(std::vector<Action>& actions);
  void open(MonotonicTime now, std::vector<Action>& actions);
  void close_idle(MonotonicTime now, std::vector<Action>& actions);

  PoolLimits limits_;
  std::vector<Connection> connections_;
  std::map<RequestId, WaitingRequest> requests_;
  std::map<Turn, RequestId> vital_;
  std::map<Turn, RequestId> general_;
  std::set<std::pair<MonotonicTime, RequestId>> deadlines_;
  std::int64_t arrivals_ = 0;
  std::int64_t returns_ = 0;
  unsigned failures_ = 0;  ///< since a connection was last opened
  MonotonicTime next_open_{};
};

}  // namespace hasigner::postgres
