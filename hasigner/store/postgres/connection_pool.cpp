#include "hasigner/store/postgres/connection_pool.hpp"

#include <algorithm>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {

Lane lane_of(const SqlRequest& job) {
  const bool acquires = job.priority == SqlPriority::kClaim;
  return (job.confirm && !acquires) || job.priority <= SqlPriority::kRelease ? Lane::kVital : Lane::kGeneral;
}

ConnectionPool::ConnectionPool(PoolLimits limits) : limits_(limits), connections_(limits.max) {
  HASIGNER_ASSERT(limits.max >= 1);
}

bool ConnectionPool::add(JobId job, SqlPriority priority, Lane lane, MonotonicTime deadline) {
  if (jobs_.size() >= limits_.max_waiting) return false;
  insert(job, lane, Turn{priority, ++arrivals_}, deadline);
  return true;
}

void ConnectionPool::add_again(JobId job, SqlPriority priority, Lane lane, MonotonicTime deadline) {
  insert(job, lane, Turn{priority, --returns_}, deadline);
}

void ConnectionPool::insert(JobId job, Lane lane, Turn turn, MonotonicTime deadline) {
  const bool is_new = jobs_.emplace(job, Job{lane, turn, deadline}).second;
  HASIGNER_ASSERT(is_new);
  queue(lane).emplace(turn, job);
  deadlines_.emplace(deadline, job);
}

void ConnectionPool::remove(JobId job) {
  const auto place = jobs_.find(job);
  if (place == jobs_.end()) return;
  queue(place->second.lane).erase(place->second.turn);
  deadlines_.erase({place->second.deadline, job});
  jobs_.erase(place);
}

void ConnectionPool::opened(Place place, MonotonicTime now) {
  auto& connection = connections_[place];
  HASIGNER_ASSERT(connection.state == State::kOpening);
  connection.state = State::kIdle;
  connection.idle_since = now;
  failures_ = 0;
  next_open_ = now;
}

void ConnectionPool::open_failed(Place place, MonotonicTime now, double jitter) {
  HASIGNER_ASSERT(connections_[place].state == State::kOpening);
  connections_[place].state = State::kClosed;
  const auto doubled = limits_.first_pause * (1LL << std::min(failures_, 20U));
  const auto pause = std::min<milliseconds>(doubled, limits_.longest_pause);
  ++failures_;
  // Between half of the pause and all of it.
  next_open_ = now + std::chrono::duration_cast<MonotonicTime::duration>(pause * (0.5 + jitter / 2));
}

void ConnectionPool::finished(Place place, MonotonicTime now, bool usable) {
  auto& connection = connections_[place];
  HASIGNER_ASSERT(connection.state == State::kBusy);
  connection.state = usable ? State::kIdle : State::kClosed;
  connection.idle_since = now;
}

void ConnectionPool::ended(Place place) {
  HASIGNER_ASSERT(connections_[place].state == State::kIdle);
  connections_[place].state = State::kClosed;
}

std::vector<ConnectionPool::Action> ConnectionPool::decide(MonotonicTime now) {
  std::vector<Action> actions;
  give_up(now, actions);
  start(actions);
  open(now, actions);
  close_idle(now, actions);
  return actions;
}

void ConnectionPool::give_up(MonotonicTime now, std::vector<Action>& actions) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const JobId job = deadlines_.begin()->second;
    remove(job);
    actions.emplace_back(GiveUp{job});
  }
}

void ConnectionPool::start(std::vector<Action>& actions) {
  for (const Lane lane : {Lane::kVital, Lane::kGeneral}) {
    while (!queue(lane).empty()) {
      if (lane == Lane::kGeneral && general_running() >= general_limit()) return;
      const auto place = best_idle(lane);
      if (!place) return;
      const JobId job = queue(lane).begin()->second;
      remove(job);
      connections_[*place].state = State::kBusy;
      connections_[*place].lane = lane;
      actions.emplace_back(Start{job, *place});
    }
  }
}

void ConnectionPool::open(MonotonicTime now, std::vector<Action>& actions) {
  const std::size_t general =
      general_running() < general_limit() ? std::min(general_.size(), general_limit() - general_running()) : 0;
  const std::size_t wanted = vital_.size() + general;
  while (opening() < wanted && now >= next_open_ && (failures_ == 0 || opening() == 0)) {
    const auto place = std::ranges::find(connections_, State::kClosed, &Connection::state);
    if (place == connections_.end()) return;
    place->state = State::kOpening;
    actions.emplace_back(Open{static_cast<Place>(place - connections_.begin())});
  }
}

void ConnectionPool::close_idle(MonotonicTime now, std::vector<Action>& actions) {
  if (limits_.idle_timeout == milliseconds::zero()) return;
  std::size_t left = connected();
  for (Place place = 0; place < connections_.size() && left > limits_.min; ++place) {
    auto& connection = connections_[place];
    if (connection.state != State::kIdle || now - connection.idle_since < limits_.idle_timeout) continue;
    connection.state = State::kClosed;
    --left;
    actions.emplace_back(Close{place});
  }
}

std::optional<MonotonicTime> ConnectionPool::next_decision() const {
  std::optional<MonotonicTime> next;
  const auto consider = [&](MonotonicTime time) { next = next ? std::min(*next, time) : time; };
  if (!deadlines_.empty()) consider(deadlines_.begin()->first);
  if (!jobs_.empty() && failures_ > 0 && opening() == 0) consider(next_open_);
  if (limits_.idle_timeout > milliseconds::zero() && connected() > limits_.min) {
    for (const auto& connection : connections_) {
      if (connection.state == State::kIdle) consider(connection.idle_since + limits_.idle_timeout);
    }
  }
  return next;
}

std::vector<ConnectionPool::JobId> ConnectionPool::waiting_jobs() const {
  std::vector<JobId> ids;
  for (const auto& [id, job] : jobs_) ids.push_back(id);
  return ids;
}

std::size_t ConnectionPool::count(State state) const {
  return static_cast<std::size_t>(std::ranges::count(connections_, state, &Connection::state));
}

std::size_t ConnectionPool::general_limit() const {
  return std::max<std::size_t>(1, limits_.max - 1);
}

std::size_t ConnectionPool::general_running() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      connections_, [](const auto& c) { return c.state == State::kBusy && c.lane == Lane::kGeneral; }));
}

std::optional<ConnectionPool::Place> ConnectionPool::best_idle(Lane lane) const {
  std::optional<Place> best;
  const auto rank = [&](Place place) {
    return std::pair(connections_[place].lane == lane, connections_[place].idle_since);
  };
  for (Place place = 0; place < connections_.size(); ++place) {
    if (connections_[place].state != State::kIdle) continue;
    if (!best || rank(place) > rank(*best)) best = place;
  }
  return best;
}

}  // namespace hasigner::postgres
