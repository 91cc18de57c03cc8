#include "hasigner/store/sqlite/worker.hpp"

#include <ranges>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::sqlite {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

/// Pauses between two tries to begin a transaction while another process writes: about the time of one small commit.
constexpr microseconds kShortestPause{100};
constexpr microseconds kLongestPause{1'000};
/// How long a process that has just written leaves the file to other processes that wait for it: longer than their
/// pauses.
constexpr microseconds kShortestYield{1'000};
constexpr microseconds kLongestYield{2'000};
/// Pages in the log from which on it is copied into the database: SQLite's own default when nothing was asked for
/// during a moment. Under load later, because pages that were written again and again are then copied once.
constexpr int kCheckpointPages = 1'000;
constexpr int kCheckpointPagesUnderLoad = 4'000;
constexpr std::chrono::milliseconds kQuiet{20};

UtcTime utc_now() {
  return std::chrono::floor<microseconds>(std::chrono::system_clock::now());
}

/// The thread keeps all signals blocked to its end, SIGXFSZ too: a write beyond a limit of file size is an error of
/// that write, and the signal stays pending.
std::thread start_with_signals_blocked(std::move_only_function<void()> work) {
  const SignalsBlocked signals_blocked;
  return std::thread(std::move(work));
}

StoreError store_unavailable(std::string reason) {
  return {StoreErrorKind::kUnavailable, std::move(reason)};
}

StoreError incompatible(std::string reason) {
  return {StoreErrorKind::kIncompatible, std::move(reason)};
}

bool begin_running(Task& task) {
  auto expected = Task::Stage::kQueued;
  return task.stage.compare_exchange_strong(expected, Task::Stage::kRunning);
}

/// Lets the statements of a connection be interrupted for as long as it lives.
class Interruptible {
 public:
  Interruptible(Connection& connection, std::function<bool()> is_over) : connection_(connection) {
    connection_.interrupt_when(std::move(is_over));
  }
  ~Interruptible() { connection_.interrupt_when({}); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  Connection& connection_;
};

bool drop(Task& task) {
  auto expected = Task::Stage::kQueued;
  return task.stage.compare_exchange_strong(expected, Task::Stage::kDropped);
}

}  // namespace

Worker::Worker(std::string path, WorkerLimits limits, TimePoint open_deadline,
               std::move_only_function<void(StoreResult<std::string>)> opened)
    : path_(std::move(path)),
      limits_(limits),
      random_(static_cast<std::minstd_rand::result_type>(steady_clock::now().time_since_epoch().count())),
      thread_(start_with_signals_blocked(
          [this, open_deadline, opened = std::move(opened)]() mutable { run(open_deadline, std::move(opened)); })) {}

Worker::~Worker() {
  stop({});
  thread_.join();
}

std::optional<StoreError> Worker::submit(std::shared_ptr<Task> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return store_unavailable("the store is closed");
  // One task is always let in, however large: a batch must not be refused again and again.
  if (waiting_ > 0 && waiting_ + task->weight > limits_.max_waiting) {
    return store_unavailable("too many requests wait for the database \"" + path_ + "\"");
  }
  waiting_ += task->weight;
  queue_.push_back(std::move(task));
  wake_.notify_one();
  return std::nullopt;
}

void Worker::stop(std::move_only_function<void()> ended) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
    if (!has_ended_ && ended) ended_.push_back(std::exchange(ended, {}));
  }
  if (ended) ended();
}

bool Worker::is_stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Worker::run(TimePoint deadline, std::move_only_function<void(StoreResult<std::string>)> opened) {
  auto outcome = open(deadline);
  const bool is_open = outcome.has_value();
  opened(std::move(outcome));
  if (is_open) serve();

  Tasks left;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    left = std::exchange(queue_, {});
  }
  fail_all(left, store_unavailable("the store is closed"));
  if (database_) {
    database_->tables.reset();
    database_->connection.reset();
    database_.reset();
  }
  std::vector<std::move_only_function<void()>> ended;
  {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended = std::exchange(ended_, {});
  }
  for (auto& callback : ended) callback();
}

StoreResult<std::string> Worker::open(TimePoint deadline) {
  auto file = DatabaseFile::locate(path_);
  if (!file) return std::unexpected(incompatible(file.error()));
  auto locks = NodeLocks::open(file->path() + "-nodes");
  if (!locks) return std::unexpected(incompatible(locks.error()));
  database_.emplace(Database{std::move(*file), std::move(*locks), nullptr, nullptr});
  try {
    open_connection(deadline);
    if (auto error = obstacle()) return std::unexpected(*error);
    database_->connection->execute("begin");
    database_->tables->begin(utc_now());
    cluster_id_ = database_->tables->cluster_id();
    if (auto reason = database_->file.remember_log()) return std::unexpected(incompatible(*reason));
    database_->connection->execute("commit");
    return cluster_id_;
  } catch (const SqliteError& error) {
    if (error.is_busy()) {
      return std::unexpected(
          store_unavailable("the database \"" + path_ + "\" was locked by another program all the time"));
    }
    if (error.is_damage()) {
      return std::unexpected(incompatible("\"" + path_ + "\" is not a sound SQLite database (" + error.what() +
                                          "): name another file, or restore this one from a backup"));
    }
    return std::unexpected(incompatible("cannot open the database \"" + path_ + "\": " + error.what()));
  } catch (const std::exception& error) {
    return std::unexpected(incompatible(error.what()));
  }
}

/// Errors: SqliteError, UnusableDatabase.
void Worker::open_connection(TimePoint deadline) {
  database_->tables.reset();
  database_->connection.reset();
  for (;;) {
    try {
      auto connection = std::make_unique<Connection>(database_->file.path());
      if (connection->is_read_only()) {
        throw UnusableDatabase("the database \"" + path_ + "\" can only be read: give this user the right to write it");
      }
      bring_up_to_date(*connection, path_);
      database_->tables = std::make_unique<Tables>(*connection, *database_->locks);
      database_->connection = std::move(connection);
      return;
    } catch (const SqliteError& error) {
      if (!error.is_busy() || steady_clock::now() >= deadline || is_stopping()) throw;
    }
    pause_until(soon(kShortestPause, kLongestPause));
  }
}

void Worker::serve() {
  for (;;) {
    Tasks tasks = wait_for_tasks();
    if (tasks.empty()) return;
    serve_reads(tasks);
    serve_writes(std::move(tasks));
    keep_log_short();
  }
}

void Worker::keep_log_short() {
  if (!database_->connection) return;  // it could not be opened again
  const int pages = database_->connection->wal_pages();
  if (pages < kCheckpointPages) return;
  if (pages < kCheckpointPagesUnderLoad) {
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kQuiet, [this] { return stopping_ || !queue_.empty(); })) return;
  }
  database_->connection->checkpoint();
}

/// Everything that has come; empty only when the worker stops, which answers what is left.
Worker::Tasks Worker::wait_for_tasks() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  if (stopping_) return {};
  return std::exchange(queue_, {});
}

/// Everything that has come by now.
Worker::Tasks Worker::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(queue_, {});
}

/// A random time within these bounds from now.
Worker::TimePoint Worker::soon(microseconds least, microseconds most) {
  std::uniform_int_distribution<microseconds::rep> choose(least.count(), most.count());
  return steady_clock::now() + microseconds(choose(random_));
}

/// Waits, unless the worker is to stop.
void Worker::pause_until(TimePoint time) {
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, time, [this] { return stopping_; });
}

/// Serves the reading tasks and leaves the writing ones.
void Worker::serve_reads(Tasks& tasks) {
  Tasks reads;
  for (auto& task : tasks) {
    if (task->kind == Task::Kind::kRead) reads.push_back(std::move(task));
  }
  std::erase(tasks, nullptr);
  while (!reads.empty()) {
    drop_expired(reads);
    if (reads.empty()) return;
    if (is_stopping()) return fail_all(reads, store_unavailable("the store is closed"));
    if (auto error = obstacle()) return fail_all(reads, *error);
    try {
      database_->connection->execute("begin");
      database_->tables->begin(utc_now());
      if (auto error = obstacle_inside()) {
        rollback(reads);
        return fail_all(reads, *error);
      }
      while (!reads.empty()) {
        Task& task = *reads.front();
        if (begin_running(task)) {
          const Interruptible reading(*database_->connection, [this, until = task.deadline] {
            return steady_clock::now() >= until || is_stopping();
          });
          task.work(*database_->tables);
          answer(task, std::nullopt);
        } else {
          forget(task);
        }
        reads.pop_front();
      }
      database_->connection->execute("commit");
    } catch (const SqliteError& error) {
      rollback(reads);
      if (error.is_busy()) {
        if (!reads.empty()) reads.front()->stage = Task::Stage::kQueued;
        pause_until(soon(kShortestPause, kLongestPause));
      } else if (!reads.empty()) {
        answer(*reads.front(), error.is_interrupted() ? store_unavailable("reading took longer than it may")
                                                      : error_of(error, StoreErrorKind::kUnavailable));
        reads.pop_front();
      }
    } catch (const std::exception& error) {
      rollback(reads);
      answer(*reads.front(), error_of(error, StoreErrorKind::kUnavailable));
      reads.pop_front();
    }
  }
}

void Worker::serve_writes(Tasks writes) {
  while (!writes.empty()) {
    if (!begin_writing(writes)) return;
    if (run_all(writes)) return commit(writes);
  }
}

/// Begins a transaction, which other tasks may join while the file is locked. Returns false when nothing is left to be
/// done.
bool Worker::begin_writing(Tasks& writes) {
  if (steady_clock::now() < yield_until_) {
    pause_until(yield_until_);
    take_arrivals(writes);
  }
  bool waiting = false;
  const auto done = [&](bool begun) {
    if (waiting) database_->locks->stop_waiting();
    return begun;
  };
  for (;;) {
    drop_expired(writes);
    if (is_stopping()) fail_all(writes, store_unavailable("the store is closed"));
    if (writes.empty()) return done(false);
    if (auto error = obstacle()) {
      fail_all(writes, *error);
      return done(false);
    }
    try {
      database_->connection->execute("begin immediate");
      database_->tables->begin(utc_now());
      if (auto error = obstacle_inside()) {
        rollback(writes);
        fail_all(writes, *error);
        return done(false);
      }
      return done(true);
    } catch (const SqliteError& error) {
      rollback(writes);
      if (!error.is_busy()) {
        fail_all(writes, error_of(error, StoreErrorKind::kUnavailable));
        return done(false);
      }
    }
    if (!waiting) database_->locks->announce_waiting();
    waiting = true;
    pause_until(soon(kShortestPause, kLongestPause));
    take_arrivals(writes);
  }
}

void Worker::take_arrivals(Tasks& writes) {
  Tasks arrivals = take();
  serve_reads(arrivals);
  std::ranges::move(arrivals, std::back_inserter(writes));
}

/// Returns false when the transaction is rolled back; what is left of the tasks may be tried in another.
bool Worker::run_all(Tasks& writes) {
  std::erase_if(writes, [this](const auto& task) {
    if (begin_running(*task)) return false;
    forget(*task);
    return true;
  });
  for (auto it = writes.begin(); it != writes.end(); ++it) {
    Task& task = **it;
    try {
      task.work(*database_->tables);
    } catch (const std::exception& error) {
      const auto* sqlite_error = dynamic_cast<const SqliteError*>(&error);
      const StoreError why = error_of(error, StoreErrorKind::kUnavailable);
      rollback(writes);
      if (sqlite_error && !sqlite_error->is_of_one_statement()) {
        fail_all(writes, why);
        return false;
      }
      // Its own fault: the others, of which nothing was written either, go on without it.
      answer(task, why);
      writes.erase(it);
      for (const auto& other : writes) other->stage = Task::Stage::kQueued;
      return false;
    }
  }
  if (writes.empty()) rollback(writes);
  return !writes.empty();
}

void Worker::commit(Tasks& writes) {
  try {
    database_->connection->execute("commit");
  } catch (const SqliteError& error) {
    // A full disk stopped it before its last page. After any other error the log may hold the whole transaction, and a
    // later start of the machine may find it.
    const auto kind = error.is_full() ? StoreErrorKind::kUnavailable : StoreErrorKind::kInDoubt;
    const StoreError why = error_of(error, kind);
    rollback(writes);
    return fail_all(writes, why);
  }
  // What went into a file that is no longer the database must not be taken for recorded.
  if (auto error = obstacle()) return fail_all(writes, *error);
  for (const auto& task : writes) answer(*task, std::nullopt);
  if (database_->locks->others_wait()) yield_until_ = soon(kShortestYield, kLongestYield);
}

void Worker::drop_expired(Tasks& tasks) {
  const auto now = steady_clock::now();
  std::erase_if(tasks, [&](const auto& task) {
    if (task->stage == Task::Stage::kQueued && now < task->deadline) return false;
    if (drop(*task)) {
      answer(*task, store_unavailable("the database \"" + path_ + "\" was kept busy by others until the deadline"));
    } else {
      forget(*task);
    }
    return true;
  });
}

void Worker::rollback(Tasks& tasks) {
  for (const auto& task : tasks) {
    if (task->undo && task->stage == Task::Stage::kRunning) task->undo(*database_->tables);
  }
  if (!database_->connection->in_transaction()) return;
  try {
    database_->connection->execute("rollback");
  } catch (const SqliteError& error) {
    broken_ = error_of(error, StoreErrorKind::kUnavailable);
  }
}

void Worker::answer(Task& task, std::optional<StoreError> error) {
  forget(task);
  task.finish(std::move(error));
}

/// Takes the call out of the queue.
void Worker::forget(const Task& task) {
  const std::lock_guard lock(mutex_);
  waiting_ -= task.weight;
}

void Worker::fail_all(Tasks& tasks, const StoreError& error) {
  for (const auto& task : tasks) {
    if (task->stage == Task::Stage::kRunning || drop(*task)) {
      answer(*task, error);
    } else {
      forget(*task);
    }
  }
  tasks.clear();
}

/// A connection that could not take back a transaction is of no more use, but a new one may be.
void Worker::reopen() {
  if (auto reason = database_->file.changed()) {
    break_for_good(*reason);
    return;
  }
  database_->file.forget_log();
  try {
    open_connection(steady_clock::now());
    broken_.reset();
  } catch (const std::exception& error) {
    broken_ = error_of(error, StoreErrorKind::kUnavailable);
  }
}

/// Why nothing may be done with this file at all, as far as can be seen from outside.
std::optional<StoreError> Worker::obstacle() {
  if (broken_ && broken_->kind == StoreErrorKind::kUnavailable) reopen();
  if (broken_) return broken_;
  auto reason = database_->file.changed();
  if (!reason && database_->connection->has_moved()) {
    reason = "the database \"" + path_ + "\" was moved or removed. Put it back and start again";
  }
  if (!reason) reason = database_->locks->changed();
  if (reason) return break_for_good(*reason);
  return broken_;
}

/// While another file was there, others may have signed in it.
StoreError Worker::break_for_good(std::string reason) {
  broken_ = incompatible(std::move(reason));
  return *broken_;
}

/// Why nothing may be done with what is in the file; asked within a transaction.
std::optional<StoreError> Worker::obstacle_inside() {
  const std::int64_t version = database_->tables->version();  // the first read is what opens the log
  if (auto reason = database_->file.remember_log()) return break_for_good(*reason);
  if (version != schema_version()) {
    return incompatible("the database \"" + path_ +
                        "\" was migrated by another version of this program: restart this one");
  }
  if (database_->tables->cluster_id() != cluster_id_) {
    return incompatible("the database \"" + path_ +
                        "\" now holds another cluster: make sure that it is the right one, " + "then start again");
  }
  return std::nullopt;
}

StoreError Worker::error_of(const std::exception& error, StoreErrorKind kind) const {
  const auto* sqlite_error = dynamic_cast<const SqliteError*>(&error);
  if (sqlite_error && sqlite_error->is_damage() && kind == StoreErrorKind::kUnavailable) {
    kind = StoreErrorKind::kIncompatible;
  }
  return {kind, "the database \"" + path_ + "\": " + error.what()};
}

}  // namespace hasigner::sqlite
