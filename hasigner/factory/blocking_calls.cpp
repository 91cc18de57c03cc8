#include "hasigner/factory/blocking_calls.hpp"

#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/protection/async.hpp"

namespace hasigner {

namespace {

using std::chrono::steady_clock;

/// What came of one call, until its caller goes on.
struct Answer {
  SignOutcome outcome;
  std::exception_ptr thrown;
};

struct Call {
  BlockingSignFunction function;
  SignRequest request;
  asio::any_io_executor executor;  ///< the caller's
  std::shared_ptr<Answer> answer;
  std::move_only_function<void()> resume;  ///< empty once the caller has its answer
  steady_clock::time_point asked_at = steady_clock::now();
};

/// The caller may have stopped waiting: then the answer is destroyed.
void give(Call& call, Answer answer) {
  if (!call.resume) return;
  *call.answer = std::move(answer);
  asio::post(call.executor, std::exchange(call.resume, nullptr));
}

Answer failed(std::string cause) {
  return {std::unexpected(std::move(cause)), nullptr};
}

Answer make(const Call& call) {
  try {
    return {call.function(call.request), nullptr};
  } catch (...) {
    return {std::unexpected(std::string()), std::current_exception()};
  }
}

}  // namespace

/// Owned by every thread too: one that hangs outlives its BlockingCalls.
struct BlockingCalls::Shared : std::enable_shared_from_this<Shared> {
  Shared(BlockingLimits limits_in, std::weak_ptr<void> keep_alive_in)
      : limits(limits_in), keep_alive(std::move(keep_alive_in)) {}

  static asio::awaitable<SignOutcome> call(std::shared_ptr<Shared> self, BlockingSignFunction function,
                                           SignRequest request);

  void submit(Call call);
  void add_worker();
  [[nodiscard]] bool start_thread(void (Shared::*body)());
  void work();
  void watch();

  const BlockingLimits limits;
  const std::weak_ptr<void> keep_alive;
  std::mutex mutex;
  std::condition_variable work_changed;
  std::condition_variable watch_changed;
  std::condition_variable thread_ended;
  std::deque<Call> waiting;
  std::list<Call> running;
  std::size_t begun = 0;
  std::size_t workers = 0;
  std::size_t idle = 0;
  std::size_t threads = 0;  ///< workers and the watch
  bool watched = false;
  bool stopped = false;
};

asio::awaitable<SignOutcome> BlockingCalls::Shared::call(std::shared_ptr<Shared> self, BlockingSignFunction function,
                                                         SignRequest request) {
  const auto executor = co_await asio::this_coro::executor;
  auto answer = std::make_shared<Answer>();
  auto submit = [self, executor, answer, function = std::move(function),
                 request = std::move(request)](std::move_only_function<void()> resume) mutable {
    self->submit({std::move(function), std::move(request), executor, answer, std::move(resume)});
  };
  auto suspension = suspend(std::move(submit));
  co_await std::move(suspension);
  if (answer->thrown) std::rethrow_exception(answer->thrown);
  co_return std::move(answer->outcome);
}

bool BlockingCalls::Shared::start_thread(void (Shared::*body)()) {
  const SignalsBlocked signals_blocked;
  const auto run = [kept = keep_alive.lock(), self = shared_from_this(), body] {
    ((*self).*body)();
    const std::scoped_lock lock(self->mutex);
    --self->threads;
    self->thread_ended.notify_all();
  };
  try {
    std::thread(run).detach();
  } catch (const std::system_error&) {
    return false;
  }
  ++threads;
  return true;
}

void BlockingCalls::Shared::add_worker() {
  if (start_thread(&Shared::work)) ++workers;
}

void BlockingCalls::Shared::submit(Call call) {
  const std::scoped_lock lock(mutex);
  if (stopped) return give(call, failed("the node has been stopped"));
  waiting.push_back(std::move(call));
  if (idle < waiting.size() && workers < limits.threads) add_worker();
  if (workers == 0) {
    give(waiting.back(), failed("no thread could be started for a call that blocks"));
    waiting.pop_back();
    return;
  }
  work_changed.notify_one();
  if (idle >= waiting.size()) return;
  if (!watched) watched = start_thread(&Shared::watch);
  watch_changed.notify_one();
}

/// Adds a spare thread whenever calls wait and none has begun for a while. A thread of its own: it must run when all
/// others hang.
void BlockingCalls::Shared::watch() {
  std::unique_lock lock(mutex);
  while (!stopped) {
    watch_changed.wait(lock, [this] { return stopped || !waiting.empty(); });
    const auto begun_before = begun;
    watch_changed.wait_for(lock, limits.stalled_after, [this] { return stopped; });
    const bool stalled = !waiting.empty() && begun == begun_before;
    if (stalled && !stopped && workers < limits.threads + limits.spare_threads) add_worker();
  }
}

/// One thread's life. As many as there are threads for calls that end may stay idle; when more are, those that hung
/// have returned.
void BlockingCalls::Shared::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    ++idle;
    if (idle <= limits.threads) work_changed.wait(lock, [this] { return stopped || !waiting.empty(); });
    --idle;
    if (stopped || waiting.empty()) break;
    const auto call = running.insert(running.end(), std::move(waiting.front()));
    waiting.pop_front();
    ++begun;
    lock.unlock();
    const bool too_late = steady_clock::now() - call->asked_at >= limits.longest_wait;
    auto answer =
        too_late ? failed("every thread for calls that block was taken by calls that do not return") : make(*call);
    call->function = nullptr;  // what it holds is destroyed outside the lock
    lock.lock();
    give(*call, std::move(answer));
    running.erase(call);
  }
  --workers;
}

BlockingCalls::BlockingCalls(BlockingLimits limits, std::weak_ptr<void> keep_alive)
    : shared_(std::make_shared<Shared>(limits, std::move(keep_alive))) {}

BlockingCalls::~BlockingCalls() {
  stop(steady_clock::now());
}

SignFunction BlockingCalls::sign_function(BlockingSignFunction function) const {
  return [shared = shared_, function = std::move(function)](SignRequest request) {
    return Shared::call(shared, function, std::move(request));
  };
}

void BlockingCalls::stop(steady_clock::time_point deadline) {
  std::unique_lock lock(shared_->mutex);
  shared_->stopped = true;
  for (auto& call : shared_->waiting) give(call, failed("the node has been stopped"));
  for (auto& call : shared_->running) give(call, failed("the node has been stopped"));
  shared_->waiting.clear();
  shared_->work_changed.notify_all();
  shared_->watch_changed.notify_all();
  shared_->thread_ended.wait_until(lock, deadline, [this] { return shared_->threads == 0; });
}

}  // namespace hasigner
