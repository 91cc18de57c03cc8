#include "hasigner/store/postgres/connection_pool.hpp"

#include <algorithm>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {

Lane lane_of(const SqlRequest& request) {
  const bool acquires = request.priority == SqlPriority::kClaim;
  return (request.confirm && !acquires) || request.priority <= SqlPriority::kRelease ? Lane::kVital : Lane::kGeneral;
}

ConnectionPool::ConnectionPool(PoolLimits limits) : limits_(limits), connections_(limits.max) {
  HASIGNER_ASSERT(limits.max >= 1);
}

bool ConnectionPool::add(RequestId request, SqlPriority priority, Lane lane, MonotonicTime deadline) {
  if (requests_.size() >= limits_.max_waiting) return false;
  insert(request, lane, Turn{priority, ++arrivals_}, deadline);
  return true;
}

void ConnectionPool::add_again(RequestId request, SqlPriority priority, Lane lane, MonotonicTime deadline) {
  insert(request, lane, Turn{priority, --returns_}, deadline);
}

void ConnectionPool::insert(RequestId request, Lane lane, Turn turn, MonotonicTime deadline) {
  const bool is_new = requests_.emplace(request, WaitingRequest{lane, turn, deadline}).second;
  HASIGNER_ASSERT(is_new);
  queue(lane).emplace(turn, request);
  deadlines_.emplace(deadline, request);
}

void ConnectionPool::remove(RequestId request) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  queue(found->second.lane).erase(found->second.turn);
  deadlines_.erase({found->second.deadline, request});
  requests_.erase(found);
}

void ConnectionPool::opened(ConnectionIndex index, MonotonicTime now) {
  auto& connection = connections_[index];
  HASIGNER_ASSERT(connection.state == State::kOpening);
  connection.state = State::kIdle;
  connection.idle_since = now;
  failures_ = 0;
  next_open_ = now;
}

void ConnectionPool::open_failed(ConnectionIndex index, MonotonicTime now, double jitter) {
  HASIGNER_ASSERT(connections_[index].state == State::kOpening);
  connections_[index].state = State::kClosed;
  const auto doubled = limits_.first_pause * (1LL << std::min(failures_, 20U));
  const auto pause = std::min<milliseconds>(doubled, limits_.longest_pause);
  ++failures_;
  // Between half of the pause and all of it.
  next_open_ = now + std::chrono::duration_cast<MonotonicTime::duration>(pause * (0.5 + jitter / 2));
}

void ConnectionPool::finished(ConnectionIndex index, MonotonicTime now) {
  auto& connection = connections_[index];
  HASIGNER_ASSERT(connection.state == State::kBusy);
  connection.state = State::kIdle;
  connection.idle_since = now;
}

void ConnectionPool::broke(ConnectionIndex index) {
  HASIGNER_ASSERT(connections_[index].state == State::kBusy);
  connections_[index].state = State::kClosed;
}

void ConnectionPool::ended(ConnectionIndex index) {
  HASIGNER_ASSERT(connections_[index].state == State::kIdle);
  connections_[index].state = State::kClosed;
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
    const RequestId request = deadlines_.begin()->second;
    remove(request);
    actions.emplace_back(GiveUp{request});
  }
}

void ConnectionPool::start(std::vector<Action>& actions) {
  for (const Lane lane : {Lane::kVital, Lane::kGeneral}) {
    while (!queue(lane).empty()) {
      if (lane == Lane::kGeneral && general_running() >= general_limit()) return;
      const auto idle = best_idle(lane);
      if (!idle) return;
      const RequestId request = queue(lane).begin()->second;
      remove(request);
      connections_[*idle].state = State::kBusy;
      connections_[*idle].lane = lane;
      actions.emplace_back(Start{request, *idle});
    }
  }
}

void ConnectionPool::open(MonotonicTime now, std::vector<Action>& actions) {
  const std::size_t general =
      general_running() < general_limit() ? std::min(general_.size(), general_limit() - general_running()) : 0;
  const std::size_t wanted = vital_.size() + general;
  while (opening() < wanted && now >= next_open_ && (failures_ == 0 || opening() == 0)) {
    const auto closed = std::ranges::find(connections_, State::kClosed, &Connection::state);
    if (closed == connections_.end()) return;
    closed->state = State::kOpening;
    actions.emplace_back(Open{static_cast<ConnectionIndex>(closed - connections_.begin())});
  }
}

void ConnectionPool::close_idle(MonotonicTime now, std::vector<Action>& actions) {
  if (limits_.idle_timeout == milliseconds::zero()) return;
  std::size_t left = connected();
  for (ConnectionIndex index = 0; index < connections_.size() && left > limits_.min; ++index) {
    auto& connection = connections_[index];
    if (connection.state != State::kIdle || now - connection.idle_since < limits_.idle_timeout) continue;
    connection.state = State::kClosed;
    --left;
    actions.emplace_back(Close{index});
  }
}

std::optional<MonotonicTime> ConnectionPool::next_decision() const {
  std::optional<MonotonicTime> next;
  const auto consider = [&](MonotonicTime time) { next = next ? std::min(*next, time) : time; };
  if (!deadlines_.empty()) consider(deadlines_.begin()->first);
  if (!requests_.empty() && failures_ > 0 && opening() == 0) consider(next_open_);
  if (limits_.idle_timeout > milliseconds::zero() && connected() > limits_.min) {
    for (const auto& connection : connections_) {
      if (connection.state == State::kIdle) consider(connection.idle_since + limits_.idle_timeout);
    }
  }
  return next;
}

std::vector<ConnectionPool::RequestId> ConnectionPool::waiting_requests() const {
  std::vector<RequestId> ids;
  for (const auto& [id, request] : requests_) ids.push_back(id);
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

std::optional<ConnectionPool::ConnectionIndex> ConnectionPool::best_idle(Lane lane) const {
  std::optional<ConnectionIndex> best;
  const auto rank = [&](ConnectionIndex index) {
    return std::pair(connections_[index].lane == lane, connections_[index].idle_since);
  };
  for (ConnectionIndex index = 0; index < connections_.size(); ++index) {
    if (connections_[index].state != State::kIdle) continue;
    if (!best || rank(index) > rank(*best)) best = index;
  }
  return best;
}

}  // namespace hasigner::postgres
