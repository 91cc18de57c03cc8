#pragma once

#include <functional>
#include <memory>

#include "hasigner/protection/attempt/transition.hpp"
#include "hasigner/protection/protocol.hpp"

namespace hasigner::attempt {

using Deliver = std::move_only_function<void(Answer)>;

/// For tests: told of every step of every attempt that this thread drives, if it is set.
using StepWatcher = std::function<void(const Facts&, const State& from, const Event&, const Step&)>;
inline thread_local StepWatcher step_watcher;

/// Drives one attempt through its states: carries each action out and tells transition() what came of it.
///
/// It runs to its end also when its caller has stopped waiting, so that whatever it claims is used or released.
/// `call` is empty for a caller's claim, record or release. `deliver` is called once. Thread safety: the protocol's
/// executor.
[[nodiscard]] asio::awaitable<void> run_attempt(std::shared_ptr<Protocol> protocol, Facts facts, Event first,
                                                SignCall call, Deliver deliver);

}  // namespace hasigner::attempt
