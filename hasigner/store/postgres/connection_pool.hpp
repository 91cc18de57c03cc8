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

/// Vital jobs keep what this node holds (heartbeat, record, release); general ones acquire (confirmed or not) or look.
enum class Lane : std::uint8_t { kVital, kGeneral };

[[nodiscard]] Lane lane_of(const SqlRequest& job);

struct PoolLimits {
  std::size_t max = 10;               ///< connections, at least 1
  std::size_t min = 0;                ///< idle connections that are kept
  milliseconds idle_timeout{10'000};  ///< after which an idle connection is closed; 0 is never
  std::size_t max_waiting = 10'000;   ///< jobs
  milliseconds first_pause{50};       ///< after a failed connection; doubled with each further one
  milliseconds longest_pause{2'000};
};

/// The decisions of a pool of connections: events and the time in, what is to be done out.
///
/// Waiting jobs go out by priority, then in order of arrival. One connection never serves general jobs, unless the pool
/// has only one. Connections are opened when jobs wait, and after a failure one at a time with growing pauses.
class ConnectionPool {
 public:
  using JobId = std::uint64_t;
  using Place = std::size_t;  ///< of a connection, below `max`

  struct Start {
    JobId job;
    Place place;
    friend bool operator==(const Start&, const Start&) = default;
  };
  struct Open {
    Place place;
    friend bool operator==(const Open&, const Open&) = default;
  };
  struct Close {
    Place place;
    friend bool operator==(const Close&, const Close&) = default;
  };
  struct GiveUp {
    JobId job;
    friend bool operator==(const GiveUp&, const GiveUp&) = default;
  };  ///< its time is up
  using Action = std::variant<Start, Open, Close, GiveUp>;

  explicit ConnectionPool(PoolLimits limits);

  /// False: too many jobs wait already.
  [[nodiscard]] bool add(JobId job, SqlPriority priority, Lane lane, MonotonicTime deadline);
  /// Of a started job of which nothing was sent: it goes to the head of its priority. The full queue takes it too.
  void add_again(JobId job, SqlPriority priority, Lane lane, MonotonicTime deadline);
  /// Forgets a waiting job.
  void remove(JobId job);

  void opened(Place place, MonotonicTime now);
  /// `jitter` in [0, 1) spreads the attempts of many nodes.
  void open_failed(Place place, MonotonicTime now, double jitter);
  /// A job has ended; the connection is idle again or, if not usable, gone.
  void finished(Place place, MonotonicTime now, bool usable);
  /// An idle connection is gone.
  void ended(Place place);

  /// What is to be done now. The pool has already taken it as done.
  [[nodiscard]] std::vector<Action> decide(MonotonicTime now);
  /// When to decide() again though nothing has happened.
  [[nodiscard]] std::optional<MonotonicTime> next_decision() const;

  [[nodiscard]] bool is_idle(Place place) const { return connections_[place].state == State::kIdle; }
  [[nodiscard]] std::size_t waiting() const { return jobs_.size(); }
  [[nodiscard]] std::size_t connected() const { return count(State::kIdle) + count(State::kBusy); }
  [[nodiscard]] std::size_t opening() const { return count(State::kOpening); }
  [[nodiscard]] std::vector<JobId> waiting_jobs() const;

 private:
  enum class State : std::uint8_t { kClosed, kOpening, kIdle, kBusy };
  struct Connection {
    State state = State::kClosed;
    Lane lane = Lane::kGeneral;  ///< of its latest job: going on in the same one saves it a change of settings
    MonotonicTime idle_since{};
  };
  struct Turn {
    SqlPriority priority;
    std::int64_t arrival;
    friend auto operator<=>(const Turn&, const Turn&) = default;
  };
  struct Job {
    Lane lane;
    Turn turn;
    MonotonicTime deadline;
  };

  void insert(JobId job, Lane lane, Turn turn, MonotonicTime deadline);
  [[nodiscard]] std::size_t count(State state) const;
  [[nodiscard]] std::size_t general_limit() const;
  [[nodiscard]] std::size_t general_running() const;
  [[nodiscard]] std::optional<Place> best_idle(Lane lane) const;
  [[nodiscard]] std::map<Turn, JobId>& queue(Lane lane) { return lane == Lane::kVital ? vital_ : general_; }
  void give_up(MonotonicTime now, std::vector<Action>& actions);
  void start(std::vector<Action>& actions);
  void open(MonotonicTime now, std::vector<Action>& actions);
  void close_idle(MonotonicTime now, std::vector<Action>& actions);

  PoolLimits limits_;
  std::vector<Connection> connections_;
  std::map<JobId, Job> jobs_;
  std::map<Turn, JobId> vital_;
  std::map<Turn, JobId> general_;
  std::set<std::pair<MonotonicTime, JobId>> deadlines_;
  std::int64_t arrivals_ = 0;
  std::int64_t returns_ = 0;
  unsigned failures_ = 0;  ///< since a connection was last opened
  MonotonicTime next_open_{};
};

}  // namespace hasigner::postgres
