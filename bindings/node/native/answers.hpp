#pragma once

#include <map>
#include <memory>

#include "environment.hpp"

namespace hasigner::node {

/// Questions to JavaScript that wait for an answer.
///
/// Thread safety: the protocol's executor.
template <class T>
class Answers {
 public:
  /// Asks, and waits for the answer until the deadline. Returns nullopt when no answer has come by then; a later answer
  /// is dropped.
  static asio::awaitable<std::optional<T>> ask(std::shared_ptr<Answers> self, std::shared_ptr<Environment> environment,
                                               Event question, MonotonicTime deadline) {
    auto arrival = std::make_shared<Arrival<T>>(environment->executor());
    const CallId id = question.id;
    self->open_[id] = arrival;
    environment->emit(std::move(question));
    auto answer = co_await Arrival<T>::wait(arrival, *environment->clock(), deadline);
    self->open_.erase(id);
    co_return answer;
  }

  void give(CallId id, T answer) {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    const auto arrival = found->second;
    arrival->set(std::move(answer));
  }

 private:
  std::map<CallId, std::shared_ptr<Arrival<T>>> open_;
};

}  // namespace hasigner::node
