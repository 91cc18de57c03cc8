#include "hasigner/factory/runtime.hpp"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace hasigner {

namespace {

using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

constexpr auto kThreadsEndWithin = std::chrono::seconds(1);

/// Blocks signals for the calling thread and the threads that it starts meanwhile; not those that report a fault of the
/// thread itself, which are no messages.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigdelset(&all, fault);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

asio::awaitable<SignOutcome> call(std::function<SignOutcome(const SignRequest&)> function, SignRequest request) {
  co_return function(request);
}

asio::awaitable<SignOutcome> call_on(asio::any_io_executor executor,
                                     std::function<SignOutcome(const SignRequest&)> function, SignRequest request) {
  auto outcome = co_await asio::co_spawn(executor, call(std::move(function), std::move(request)), asio::use_awaitable);
  co_return outcome;
}

}  // namespace

/// Owned by every thread too, so that a function that is left to itself finds both contexts when it ends. What waits in
/// `work` refers to `protocol`, therefore that one is destroyed last.
struct Runtime::Contexts {
  asio::io_context protocol{1};
  asio::io_context work;
  Guard protocol_guard = asio::make_work_guard(protocol);
  Guard work_guard = asio::make_work_guard(work);
  std::mutex mutex;
  std::condition_variable thread_ended;
  std::size_t running = 0;
};

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

Runtime::Runtime(std::optional<asio::any_io_executor> protocol_executor)
    : contexts_(std::make_shared<Contexts>()),
      threads_(std::make_unique<Threads>()),
      owns_executor_(!protocol_executor) {
  executor_ = protocol_executor.value_or(asio::any_io_executor(contexts_->protocol.get_executor()));
  work_executor_ = contexts_->work.get_executor();
  const SignalsBlocked signals_blocked;
  const std::scoped_lock lock(contexts_->mutex);
  if (!protocol_executor) threads_->start(contexts_, contexts_->protocol);
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads_->start(contexts_, contexts_->work);
  }
}

Runtime::~Runtime() {
  stop();
}

void Runtime::stop() {
  contexts_->work.stop();
  contexts_->protocol.stop();
  std::unique_lock lock(contexts_->mutex);
  const bool all_ended =
      contexts_->thread_ended.wait_for(lock, kThreadsEndWithin, [this] { return contexts_->running == 0; });
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

SignFunction blocking_sign_function(const Runtime& runtime, std::function<SignOutcome(const SignRequest&)> function) {
  return [executor = runtime.work_executor(), function = std::move(function)](SignRequest request) {
    return call_on(executor, function, std::move(request));
  };
}

}  // namespace hasigner
