#pragma once

#include <memory>
#include <optional>

#include "hasigner/async/asio.hpp"
#include "hasigner/factory/blocking_calls.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/ha_signer.hpp"

namespace hasigner {

/// The threads of one node: one for the protocol (unless the caller brings an executor), a few for work that computes,
/// one for checks of signatures, and, once they are needed, some for calls that block. They receive no signals: these
/// stay with the program's own threads.
///
/// Thread safety: any thread, but run() and stop() not from the runtime's own.
class Runtime {
 public:
  /// Effects: starts the threads; as many for work as the machine has processors.
  explicit Runtime(std::optional<asio::any_io_executor> protocol_executor = std::nullopt,
                   BlockingLimits limits = {.threads = processors()});
  /// Stops.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// The protocol's.
  [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }
  /// Whether the protocol's thread is this runtime's.
  [[nodiscard]] bool owns_executor() const { return owns_executor_; }
  /// For work that computes and never blocks.
  [[nodiscard]] const asio::any_io_executor& work_executor() const { return work_executor_; }
  /// For checks of signatures that others made: one thread of their own, so that signing does not wait for them.
  [[nodiscard]] const asio::any_io_executor& check_executor() const { return check_executor_; }

  [[nodiscard]] static std::size_t processors();

  /// Runs a coroutine on the protocol's executor and waits for it.
  template <class T>
  T run(asio::awaitable<T> coroutine) {
    return asio::co_spawn(executor_, std::move(coroutine), asio::use_future).get();
  }

  /// Makes a sign function of one that blocks or computes: it is called by threads for such calls, never by the
  /// protocol's.
  [[nodiscard]] SignFunction blocking(BlockingSignFunction function) const {
    return blocking_->sign_function(std::move(function));
  }

  /// Ends the threads; nothing is run any more. A function that still computes or blocks after a second is left to
  /// itself: it must own what it uses.
  void stop();

 private:
  struct Contexts;
  struct Threads;
  std::shared_ptr<Contexts> contexts_;
  std::unique_ptr<BlockingCalls> blocking_;
  std::unique_ptr<Threads> threads_;
  asio::any_io_executor executor_;
  asio::any_io_executor work_executor_;
  asio::any_io_executor check_executor_;
  bool owns_executor_;
};

}  // namespace hasigner
