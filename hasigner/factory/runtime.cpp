#include "hasigner/factory/runtime.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "hasigner/async/signals_blocked.hpp"

namespace hasigner {

namespace {

using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

constexpr auto kThreadsEndWithin = std::chrono::seconds(1);

}  // namespace

/// Owned by every thread too, so that what is left to itself finds all contexts when it ends. What waits in the others
/// refers to `protocol`, therefore that one is destroyed last.
struct Runtime::Contexts {
  asio::io_context protocol{1};
  asio::io_context work;
  asio::io_context checks{1};
  Guard protocol_guard = asio::make_work_guard(protocol);
  Guard work_guard = asio::make_work_guard(work);
  Guard checks_guard = asio::make_work_guard(checks);
  std::mutex mutex;
  std::condition_variable thread_ended;
  std::size_t running = 0;
};

std::size_t Runtime::processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

struct Runtime::Threads {
  void start(const std::shared_ptr<Contexts>& contexts, asio::io_context& context) {
    ++contexts->running;
    threads.emplace_back([contexts, &context] {
      context.run();
      const std::scoped_lock lock(contexts->mutex);
      --contexts->running;
      contexts->thread_ended.notify_all();
    });
  }

  std::vector<std::thread> threads;
};

Runtime::Runtime(std::optional<asio::any_io_executor> protocol_executor, BlockingLimits limits)
    : contexts_(std::make_shared<Contexts>()),
      blocking_(std::make_unique<BlockingCalls>(limits, contexts_)),
      threads_(std::make_unique<Threads>()),
      owns_executor_(!protocol_executor) {
  executor_ = protocol_executor.value_or(asio::any_io_executor(contexts_->protocol.get_executor()));
  work_executor_ = contexts_->work.get_executor();
  check_executor_ = contexts_->checks.get_executor();
  const SignalsBlocked signals_blocked;
  const std::scoped_lock lock(contexts_->mutex);
  if (!protocol_executor) threads_->start(contexts_, contexts_->protocol);
  for (std::size_t i = 0; i < processors(); ++i) {
    threads_->start(contexts_, contexts_->work);
  }
  threads_->start(contexts_, contexts_->checks);
}

Runtime::~Runtime() {
  stop();
}

void Runtime::stop() {
  const auto until = std::chrono::steady_clock::now() + kThreadsEndWithin;
  contexts_->work.stop();
  contexts_->checks.stop();
  contexts_->protocol.stop();
  blocking_->stop(until);
  std::unique_lock lock(contexts_->mutex);
  const bool all_ended = contexts_->thread_ended.wait_until(lock, until, [this] { return contexts_->running == 0; });
  lock.unlock();
  for (auto& thread : threads_->threads) {
    if (all_ended) {
      thread.join();
    } else {
      thread.detach();
    }
  }
  threads_->threads.clear();
}

}  // namespace hasigner
