#pragma once

#include <functional>
#include <optional>

#include "hasigner/protection/attempt/state.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner::attempt {

/// What an attempt needs to know of the moment in which something happens.
struct Moment {
  MonotonicTime now{};
  StopLevel stop = StopLevel::kRunning;
  const std::function<LockToken(TokenKind)>& new_token;
  bool may_settle_later = true;  ///< false: too many attempts still release rows behind their answers
};

/// The state that an attempt enters, and the one action whose answer it then waits for.
struct Step {
  State state;
  Action action;
  MonotonicTime until = MonotonicTime::max();  ///< TimeUp comes then
  StopLevel stopped_by = StopLevel::kClosed;   ///< Stopped comes when stop() has reached this
  std::vector<Metrics::Event> counts = {};     ///< for the metrics
};

/// The protocol of one attempt: what it does next, as a pure function.
///
/// Returns nullopt when the event is not an answer that the state waits for.
/// Source: docs/protocol.md, whose transition table a test compares with this function.
[[nodiscard]] std::optional<Step> transition(const Facts& facts, State state, Event event, const Moment& moment);

}  // namespace hasigner::attempt
