#include "hasigner/service/connection_turns.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

namespace hasigner::service {

void ConnectionTurns::Membership::join_unknown(const std::string& peer) {
  const std::scoped_lock lock(turns_->mutex_);
  line_ = turns_->line_of("unknown " + peer, turns_->unknown_);
}

void ConnectionTurns::Membership::join(const std::string& client) {
  const std::scoped_lock lock(turns_->mutex_);
  line_ = turns_->line_of(client, nullptr);
}

/// Without a group the line has one of its own.
std::shared_ptr<ConnectionTurns::Line> ConnectionTurns::line_of(const std::string& name,
                                                                const std::shared_ptr<Group>& group) {
  auto& entry = lines_[name];
  if (auto line = entry.lock()) return line;
  auto line = std::make_shared<Line>(Line{.group = group ? group : std::make_shared<Group>()});
  entry = line;
  if (lines_.size() > lines_looked_through_at_) {
    std::erase_if(lines_, [](const auto& named) { return named.second.expired(); });
    lines_looked_through_at_ = 2 * lines_.size();
  }
  return line;
}

void ConnectionTurns::submit(const Membership& membership, Handler handler) {
  const std::scoped_lock lock(mutex_);
  if (is_closed_) return;
  const auto& line = membership.line_;
  const auto& group = line->group;
  if (line->handlers.empty()) group->waiting.push_back(line);
  line->handlers.push_back(std::move(handler));
  ++waiting_;
  if (!std::exchange(group->is_queued, true)) enqueue(group);
}

void ConnectionTurns::enqueue(const std::shared_ptr<Group>& group) {
  asio::post(executor_, [self = shared_from_this(), group] { self->take_turn(group); });
}

void ConnectionTurns::take_turn(const std::shared_ptr<Group>& group) {
  const auto until = std::chrono::steady_clock::now() + turn_;
  do {
    auto handler = next(*group);
    if (!handler) return;
    handler();
  } while (std::chrono::steady_clock::now() < until);
  const std::scoped_lock lock(mutex_);
  group->is_queued = !group->waiting.empty();
  if (group->is_queued) enqueue(group);
}

/// Returns an empty one when none waits; then the turn is over.
ConnectionTurns::Handler ConnectionTurns::next(Group& group) {
  const std::scoped_lock lock(mutex_);
  group.is_queued = !group.waiting.empty();
  if (!group.is_queued) return nullptr;
  const auto line = std::move(group.waiting.front());
  group.waiting.pop_front();
  auto handler = std::move(line->handlers.front());
  line->handlers.pop_front();
  --waiting_;
  if (!line->handlers.empty()) group.waiting.push_back(line);
  return handler;
}

std::size_t ConnectionTurns::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_;
}

void ConnectionTurns::close() {
  std::vector<std::shared_ptr<Line>> lines;
  std::vector<Handler> dropped;
  const std::scoped_lock lock(mutex_);
  is_closed_ = true;
  waiting_ = 0;
  for (const auto& [name, entry] : lines_) {
    if (auto line = entry.lock()) lines.push_back(std::move(line));
  }
  for (const auto& line : lines) {
    std::ranges::move(line->handlers, std::back_inserter(dropped));
    line->handlers.clear();
    line->group->waiting.clear();
  }
}

}  // namespace hasigner::service
