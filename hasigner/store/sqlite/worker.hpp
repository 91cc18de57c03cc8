#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hasigner/store/sqlite/database_file.hpp"
#include "hasigner/store/sqlite/tables.hpp"

namespace hasigner::sqlite {

/// One call of a store, on its way through the worker.
struct Task {
  enum class Kind : std::uint8_t { kRead, kWrite };
  enum class Stage : std::uint8_t { kQueued, kRunning, kDropped };

  Kind kind = Kind::kRead;
  std::size_t weight = 1;  ///< elements of its batch
  std::chrono::steady_clock::time_point deadline;
  /// What it does within a transaction; may be called again after a rollback. On the worker's thread.
  std::move_only_function<void(Tables&)> work;
  /// Takes back what a rollback does not. On the worker's thread.
  std::move_only_function<void(Tables&)> undo;
  /// Gets nullopt when what work() did is committed. Called once, on the worker's thread or that of stop().
  std::move_only_function<void(std::optional<StoreError>)> finish;
  std::atomic<Stage> stage = Stage::kQueued;
};

struct WorkerLimits {
  /// Elements of all tasks that are not yet answered. More are refused.
  std::size_t max_waiting = 200'000;
};

/// The one thread that talks to SQLite. It takes everything that has come, runs the writing tasks in one transaction,
/// so that they share one wait for the disk, and answers each.
///
/// Reading tasks come first, in a snapshot of their own: they wait for no writer, and are interrupted at their
/// deadline. A task whose deadline passes before its transaction has begun is dropped and nothing of it was written. A
/// transaction that cannot begin because another process writes is tried again after short random pauses, and processes
/// that write without pause let the waiting ones in. Thread safety: submit() and stop() from any thread.
class Worker {
 public:
  /// Starts the thread, which opens the database by itself; `opened` hears how that went, with the cluster's id.
  Worker(std::string path, WorkerLimits limits, std::chrono::steady_clock::time_point open_deadline,
         std::move_only_function<void(StoreResult<std::string>)> opened);
  /// Stops, and waits for the thread.
  ~Worker();

  /// Returns nullopt when the task is on its way; otherwise finish() is not called.
  [[nodiscard]] std::optional<StoreError> submit(std::shared_ptr<Task> task);
  /// Ends the thread after the transaction that it is in, if any; tasks that wait get an error. `ended` is called by
  /// the thread when nothing is open any more.
  void stop(std::move_only_function<void()> ended);

 private:
  using Tasks = std::deque<std::shared_ptr<Task>>;
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Everything that is open while the worker serves.
  struct Database {
    DatabaseFile file;
    std::unique_ptr<NodeLocks> locks;
    std::unique_ptr<Connection> connection;
    std::unique_ptr<Tables> tables;
  };

  void run(TimePoint deadline, std::move_only_function<void(StoreResult<std::string>)> opened);
  [[nodiscard]] StoreResult<std::string> open(TimePoint deadline);
  void open_connection(TimePoint deadline);
  void serve();
  void keep_log_short();
  [[nodiscard]] Tasks wait_for_tasks();
  [[nodiscard]] Tasks take();
  void serve_reads(Tasks& tasks);
  void serve_writes(Tasks writes);
  [[nodiscard]] bool begin_writing(Tasks& writes);
  [[nodiscard]] bool run_all(Tasks& writes);
  void commit(Tasks& writes);
  void take_arrivals(Tasks& writes);
  void drop_expired(Tasks& tasks);
  void rollback(Tasks& tasks);
  void answer(Task& task, std::optional<StoreError> error);
  void fail_all(Tasks& tasks, const StoreError& error);
  void forget(const Task& task);
  [[nodiscard]] std::optional<StoreError> obstacle();
  [[nodiscard]] std::optional<StoreError> obstacle_inside();
  StoreError break_for_good(std::string reason);
  void reopen();
  [[nodiscard]] TimePoint soon(std::chrono::microseconds least, std::chrono::microseconds most);
  void pause_until(TimePoint time);
  [[nodiscard]] bool is_stopping();
  [[nodiscard]] StoreError error_of(const std::exception& error, StoreErrorKind kind) const;

  const std::string path_;
  const WorkerLimits limits_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Tasks queue_;
  std::size_t waiting_ = 0;  ///< elements of the tasks that are not yet answered
  bool stopping_ = false;
  bool has_ended_ = false;
  std::vector<std::move_only_function<void()>> ended_;

  // Of the thread only.
  std::optional<Database> database_;
  std::string cluster_id_;
  std::optional<StoreError> broken_;
  TimePoint yield_until_;
  std::minstd_rand random_;

  std::thread thread_;
};

}  // namespace hasigner::sqlite
