#include "hasigner/store/sqlite/sqlite_journal.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/store/sqlite/connection.hpp"
#include "hasigner/store/sqlite/database_file.hpp"
#include "hasigner/store/sqlite/file_system.hpp"
#include "hasigner/store/sqlite/schema.hpp"
#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {

namespace {

using std::chrono::steady_clock;

/// How long what is not waited for may stay unwritten.
constexpr auto kLongestUnwritten = std::chrono::seconds(1);
constexpr auto kRetryPause = std::chrono::milliseconds(20);
constexpr auto kCloseWithin = std::chrono::seconds(2);
/// Pages in the log from which on it is copied into the file: when nothing waits, and under load.
constexpr int kJournalCheckpointPages = 1'000;
constexpr int kJournalCheckpointPagesUnderLoad = 4'000;
/// Jobs that a failed transaction leaves for the next one.
constexpr std::size_t kMostLeft = 10'000;
/// Longer than it is not known whether an entry's signature has left: the bound of one call of the store.
constexpr std::int64_t kUnsettledSeconds = 60;
/// "HaSJ", so that no other program's file is taken for a journal.
constexpr std::int64_t kJournalId = 0x4861534a;

std::int64_t now_in_seconds() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
}

std::int64_t column(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, std::numeric_limits<std::int64_t>::max()));
}

std::string in_quotes(const std::string& path) {
  return "\"" + printable(path, 4096) + "\"";
}

template <class Bytes>
std::optional<Bytes> bytes_of(std::span<const std::uint8_t> found) {
  Bytes value;
  if (found.size() != Bytes::kSize) return std::nullopt;
  std::ranges::copy(found, value.bytes().begin());
  return value;
}

EthAddress rollup_of(const Run& row) {
  const auto rollup = bytes_of<EthAddress>(row.bytes(0));
  if (!rollup) throw std::runtime_error("it names a rollup by something that is not an address");
  return *rollup;
}

/// Entries that were written in the last minute before the latest one are not settled, nor those without a time.
JournalEntry entry_of(const Run& row, std::int64_t latest) {
  const auto slot = Slot::from_signed(row.integer(1));
  const auto validator = bytes_of<EthAddress>(row.bytes(2));
  const auto type = parse_duty_type(row.text(3));
  const auto hash = bytes_of<MessageHash>(row.bytes(5));
  if (!slot || !validator || !type || !hash) throw std::runtime_error("it has an entry that is not one of a journal");
  return {.key = {.rollup = rollup_of(row),
                  .validator = *validator,
                  .slot = *slot,
                  .duty_type = *type,
                  .block_index = static_cast<std::int32_t>(row.integer(4))},
          .message_hash = *hash,
          .signature = bytes_of<Signature>(row.bytes(6)),
          .handed_out = row.is_null(7) ? LockToken() : LockToken(row.text(7)),
          .is_settled = row.integer(8) > 0 && row.integer(8) + kUnsettledSeconds < latest};
}

DatabaseFile located(const std::string& path) {
  // Its locks and writes are not those that SQLite needs, so that two processes might have one journal.
  const auto file_system = file_system_of(path);
  if (file_system && file_system->kind == FileSystemKind::kNetwork) {
    throw std::runtime_error("the journal " + in_quotes(path) + " would be on a network file system (" +
                             file_system->name + "): put it on a disk of this machine");
  }
  auto file = DatabaseFile::locate(path);
  if (!file) throw std::runtime_error("the journal cannot be opened: " + file.error());
  return std::move(*file);
}

/// What is open while the journal serves. Of one thread at a time.
struct File {
  explicit File(const std::string& path_in) : path(path_in), file(located(path)), connection(file.path()) {}

  /// Errors: SqliteError, busy while another process has the file; std::runtime_error.
  void lock_and_prepare() {
    if (connection.is_read_only()) throw std::runtime_error("the journal " + in_quotes(path) + " cannot be written");
    connection.execute("pragma locking_mode=exclusive");
    if (connection.text("pragma journal_mode=wal") != "wal") {
      throw std::runtime_error("the file system of the journal " + in_quotes(path) +
                               " cannot hold a write-ahead log: put it on a local disk");
    }
    connection.execute("begin immediate");
    const FileFacts facts = facts_of(connection);
    if (facts.application != kJournalId && !facts.is_empty) {
      throw std::runtime_error(in_quotes(path) +
                               " is the SQLite database of another program, not a journal: name another");
    }
    connection.execute(statement("journal_tables").c_str());
    connection.execute(("pragma application_id=" + std::to_string(kJournalId)).c_str());
    connection.execute("commit");
    if (auto reason = file.remember_log(DatabaseFile::LogIndex::kInMemory)) throw std::runtime_error(*reason);
  }

  [[nodiscard]] JournalContents read(const JournalLimits& limits) {
    JournalContents contents;
    struct Rollup {
      EthAddress address;
      std::size_t entries;
    };
    std::vector<Rollup> rollups;
    Statement listing(connection, statement("journal_rollups"));
    Run row = listing.start();
    while (row.next()) {
      rollups.push_back({rollup_of(row), static_cast<std::size_t>(row.integer(1))});
      latest = std::max(latest, row.integer(3));
    }
    Statement reading(connection, statement("journal_highest"));
    for (const auto& rollup : rollups) {
      Run entry = reading.start(rollup.address.bytes(), column(limits.read_at_once));
      while (entry.next()) contents.entries.push_back(entry_of(entry, latest));
      if (rollup.entries > limits.read_at_once) contents.unread[rollup.address] = contents.entries.back().key.slot;
    }
    contents.forgotten = forgotten();
    Statement remembering(connection, statement("journal_history"));
    Run remembered = remembering.start();
    if (remembered.next()) contents.history = remembered.text(0);
    return contents;
  }

  std::map<EthAddress, Slot> forgotten() {
    std::map<EthAddress, Slot> slots;
    Run row = list_forgotten.start();
    while (row.next()) slots[rollup_of(row)] = Slot::from_signed(row.integer(1)).value_or(Slot{});
    return slots;
  }

  /// Returns false where the duty has an entry with another message.
  bool add(const JournalEntry& entry) {
    const auto& key = entry.key;
    const std::optional<std::string> token =
        entry.handed_out.empty() ? std::nullopt : std::optional(entry.handed_out.str());
    latest = now_in_seconds();
    ++added;
    const auto signature =
        entry.signature ? std::optional(std::span<const std::uint8_t>(entry.signature->bytes())) : std::nullopt;
    return append.run(key.rollup.bytes(), column(key.slot.value()), key.validator.bytes(), to_string(key.duty_type),
                      key.block_index, entry.message_hash.bytes(), signature, token, latest) > 0;
  }

  void take_back(const JournalEntry& entry) {
    const auto& key = entry.key;
    withdraw.run(key.rollup.bytes(), column(key.slot.value()), key.validator.bytes(), to_string(key.duty_type),
                 key.block_index, entry.message_hash.bytes());
  }

  void leave_unsettled(const JournalEntry& entry) {
    const auto& key = entry.key;
    unsettle.run(key.rollup.bytes(), column(key.slot.value()), key.validator.bytes(), to_string(key.duty_type),
                 key.block_index, entry.message_hash.bytes());
  }

  [[nodiscard]] std::optional<JournalEntry> entry_for(const DutyKey& key) {
    Run row = find.start(key.rollup.bytes(), column(key.slot.value()), key.validator.bytes(), to_string(key.duty_type),
                         key.block_index);
    return row.next() ? std::optional(entry_of(row, latest)) : std::nullopt;
  }

  /// Drops the lowest slots of each rollup that has too many entries, but never its highest slot.
  void bound_size(std::size_t limit) {
    added = 0;
    struct Excess {
      EthAddress rollup;
      std::size_t entries;
      std::int64_t highest_slot;
    };
    std::vector<Excess> excesses;
    {
      Statement listing(connection, statement("journal_rollups"));
      Run row = listing.start();
      while (row.next()) {
        const auto entries = static_cast<std::size_t>(row.integer(1));
        if (entries > limit) excesses.push_back({rollup_of(row), entries - limit, row.integer(2)});
      }
    }
    Statement finding(connection, statement("journal_oldest_slot"));
    Statement forgetting(connection, statement("journal_forget"));
    Statement dropping(connection, statement("journal_drop"));
    for (const auto& [rollup, entries, highest_slot] : excesses) {
      std::int64_t slot = 0;
      {
        Run row = finding.start(rollup.bytes(), column(entries - 1));
        if (!row.next()) continue;
        slot = std::min(row.integer(0), highest_slot - 1);
      }
      connection.execute("begin immediate");
      forgetting.run(rollup.bytes(), slot);
      dropping.run(rollup.bytes(), slot);
      connection.execute("commit");
    }
  }

  const std::string path;
  DatabaseFile file;
  Connection connection;
  std::int64_t latest = 0;  ///< when the latest entry was written
  std::size_t added = 0;    ///< since the size was bounded
  Statement append{connection, statement("journal_append")};
  Statement withdraw{connection, statement("journal_withdraw")};
  Statement unsettle{connection, statement("journal_unsettle")};
  Statement find{connection, statement("journal_find")};
  Statement list_forgotten{connection, statement("journal_forgotten")};
  Statement trial{connection, statement("journal_try")};
  Statement remember_history{connection, statement("journal_remember_history")};
};

enum class JobKind : std::uint8_t { kWrites, kReads, kRemembersHistory };

/// One request. It is carried out within a transaction, and told what became of that; maybe once more in a later one.
struct Job {
  std::move_only_function<void(File&)> work;
  std::move_only_function<void(std::optional<StoreError>)> finish;  ///< empty: it is not waited for
  JobKind kind = JobKind::kWrites;
};

bool remembers_history(const Job& job) {
  return job.kind == JobKind::kRemembersHistory;
}

StoreError unavailable(std::string reason) {
  return {StoreErrorKind::kUnavailable, std::move(reason)};
}

std::unique_ptr<File> open_file(const std::string& path, milliseconds timeout) {
  const auto until = steady_clock::now() + timeout;
  for (;;) {
    try {
      auto file = std::make_unique<File>(path);
      file->lock_and_prepare();
      return file;
    } catch (const SqliteError& error) {
      if (!error.is_busy()) {
        throw std::runtime_error("the journal " + in_quotes(path) + " cannot be used: " + error.what());
      }
      if (steady_clock::now() >= until) {
        throw std::runtime_error("the journal " + in_quotes(path) +
                                 " is in use by another process: each node needs a folder of its own");
      }
    }
    std::this_thread::sleep_for(kRetryPause);
  }
}

}  // namespace

/// Owned by its thread, too, which may outlive close() where the disk does not answer.
class SqliteJournal::Writer {
 public:
  Writer(const std::string& path, milliseconds timeout, JournalLimits limits)
      : limits_(limits), file_(open_file(path, timeout)) {
    try {
      contents_ = file_->read(limits_);
    } catch (const std::exception& error) {
      throw std::runtime_error("the journal " + in_quotes(path) + " cannot be read: " + error.what());
    }
  }

  static void start(const std::shared_ptr<Writer>& self) {
    const SignalsBlocked signals_blocked;
    self->thread_ = std::thread([self] { self->serve(); });
  }

  [[nodiscard]] JournalContents contents() { return std::move(contents_); }

  void submit(Job job) {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) {
      if (job.finish) job.finish(unavailable("the journal is closed"));
      return;
    }
    // A text of every slot: while nothing can be written, only the newest waits.
    if (remembers_history(job)) std::erase_if(queue_, remembers_history);
    if (queue_.empty()) waits_since_ = steady_clock::now();
    const bool is_awaited = static_cast<bool>(job.finish);
    queue_.push_back(std::move(job));
    if (!is_awaited) return;
    ++awaited_;
    wake_.notify_one();
  }

  void stop() {
    std::unique_lock lock(mutex_);
    if (std::exchange(is_stopping_, true)) return;
    wake_.notify_one();
    has_ended_.wait_for(lock, kCloseWithin, [this] { return is_ended_; });
    is_abandoned_ = !is_ended_;
    lock.unlock();
    is_abandoned_ ? thread_.detach() : thread_.join();
  }

 private:
  /// Everything that has come; empty only at the end.
  std::deque<Job> take() {
    std::unique_lock lock(mutex_);
    const auto is_due = [this] {
      return is_stopping_ || awaited_ > 0 ||
             (!queue_.empty() && steady_clock::now() >= waits_since_ + kLongestUnwritten);
    };
    while (!is_due()) wake_.wait_for(lock, kLongestUnwritten);
    awaited_ = 0;
    return std::exchange(queue_, {});
  }

  void serve() {
    for (;;) {
      auto jobs = take();
      if (jobs.empty()) break;
      const auto error = carry_out(jobs);
      finish(jobs, error, error ? read_alone(jobs) : std::nullopt);
      keep_short();
    }
    file_.reset();
    const std::lock_guard lock(mutex_);
    is_ended_ = true;
    has_ended_.notify_one();
  }

  std::optional<StoreError> carry_out(std::deque<Job>& jobs) {
    return in_transaction([&] {
      for (auto& job : jobs) job.work(*file_);
      file_->connection.execute("commit");
    });
  }

  /// What only reads does not fail with what cannot be written, or other nodes would wait for one whose disk is full.
  /// What is left for later counts as done for it: else it would find an entry that is taken back soon, and whose
  /// message would then be released without one.
  std::optional<StoreError> read_alone(std::deque<Job>& jobs) {
    const auto reads = [](const Job& job) { return job.kind == JobKind::kReads; };
    if (std::ranges::none_of(jobs, reads)) return std::nullopt;
    return in_transaction([&] {
      for (auto& job : jobs) {
        if (reads(job) || !job.finish) job.work(*file_);
      }
      file_->connection.execute("rollback");
    });
  }

  std::optional<StoreError> in_transaction(const std::function<void()>& work) {
    auto& connection = file_->connection;
    try {
      // What is written into a file that is not there any more is lost.
      if (auto reason = file_->file.changed()) return unavailable("the journal: " + *reason);
      connection.execute("begin immediate");
      work();
      if (auto reason = file_->file.changed()) return unavailable("the journal: " + *reason);
      return std::nullopt;
    } catch (const std::exception& error) {
      std::string what = error.what();
      try {
        if (connection.in_transaction()) connection.execute("rollback");
      } catch (const std::exception& second) {
        what += std::string("; ") + second.what();
      }
      return unavailable("the journal " + in_quotes(file_->path) + ": " + what);
    }
  }

  void finish(std::deque<Job>& jobs, const std::optional<StoreError>& error,
              const std::optional<StoreError>& error_of_reading) {
    const std::lock_guard lock(mutex_);
    std::deque<Job> left;
    for (auto& job : jobs) {
      if (job.finish) {
        if (!is_abandoned_) job.finish(job.kind == JobKind::kReads ? error_of_reading : error);
      } else if (remembers_history(job) && std::ranges::any_of(queue_, remembers_history)) {
        continue;
      } else if (error && left.size() < kMostLeft) {
        left.push_back(std::move(job));
      }
    }
    // What is taken back stays before what is written later, or that would meet the earlier entry.
    if (is_stopping_ || left.empty()) return;
    queue_.insert(queue_.begin(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
    waits_since_ = steady_clock::now();
  }

  void keep_short() {
    try {
      if (file_->added > std::max<std::size_t>(limits_.entries / 10, 1)) file_->bound_size(limits_.entries);
      const int pages = file_->connection.wal_pages();
      bool is_busy = false;
      {
        const std::lock_guard lock(mutex_);
        is_busy = awaited_ > 0;
      }
      if (pages >= kJournalCheckpointPagesUnderLoad || (pages >= kJournalCheckpointPages && !is_busy))
        file_->connection.checkpoint();
    } catch (const std::exception&) {
      // It is tried again later; until then the file is only larger.
      try {
        if (file_->connection.in_transaction()) file_->connection.execute("rollback");
      } catch (const std::exception&) {
        // The next transaction cannot begin then, and says so.
      }
    }
  }

  const JournalLimits limits_;
  std::unique_ptr<File> file_;
  JournalContents contents_;
  std::mutex mutex_;
  std::condition_variable wake_, has_ended_;
  std::deque<Job> queue_;
  std::size_t awaited_ = 0;  ///< jobs of the queue that are waited for
  steady_clock::time_point waits_since_{};
  bool is_stopping_ = false;
  bool is_ended_ = false;
  bool is_abandoned_ = false;
  std::thread thread_;
};

SqliteJournal::SqliteJournal(const std::string& path, asio::any_io_executor executor, milliseconds timeout,
                             JournalLimits limits)
    : writer_(std::make_shared<Writer>(path, timeout, limits)), executor_(std::move(executor)) {
  Writer::start(writer_);
}

SqliteJournal::~SqliteJournal() {
  writer_->stop();
}

JournalContents SqliteJournal::contents() {
  return writer_->contents();
}

namespace {

/// Hands a value over on the executor.
template <class T>
void post(const asio::any_io_executor& executor, std::shared_ptr<Arrival<T>> arrival, T value) {
  asio::post(executor,
             [arrival = std::move(arrival), value = std::move(value)]() mutable { arrival->set(std::move(value)); });
}

}  // namespace

std::shared_ptr<Arrival<ReleaseJournal::Written>> SqliteJournal::append(std::vector<JournalEntry> entries) {
  auto arrival = std::make_shared<Arrival<Written>>(executor_);
  auto other = std::make_shared<std::optional<DutyKey>>();
  writer_->submit(
      {.work =
           [other, entries = std::move(entries)](File& file) {
             if (entries.empty()) file.trial.run(now_in_seconds());
             for (const auto& entry : entries) {
               if (!file.add(entry)) *other = entry.key;
             }
           },
       .finish =
           [arrival, other, executor = executor_](std::optional<StoreError> error) {
             if (!error && *other) {
               error = {StoreErrorKind::kIncompatible, "the journal has another message for " + (*other)->describe()};
             }
             post(executor, arrival, error ? Written(std::unexpected(std::move(*error))) : Written(Unit{}));
           }});
  return arrival;
}

void SqliteJournal::withdraw(std::vector<JournalEntry> entries) {
  writer_->submit({.work =
                       [entries = std::move(entries)](File& file) {
                         for (const auto& entry : entries) file.take_back(entry);
                       },
                   .finish = {}});
}

void SqliteJournal::leave_unsettled(std::vector<JournalEntry> entries) {
  writer_->submit({.work =
                       [entries = std::move(entries)](File& file) {
                         for (const auto& entry : entries) file.leave_unsettled(entry);
                       },
                   .finish = {}});
}

std::shared_ptr<Arrival<ReleaseJournal::Found>> SqliteJournal::find(std::vector<DutyKey> keys) {
  auto arrival = std::make_shared<Arrival<Found>>(executor_);
  auto found = std::make_shared<JournalFindings>();
  writer_->submit({.work =
                       [found, keys = std::move(keys)](File& file) {
                         *found = {};
                         for (const auto& key : keys) {
                           if (auto entry = file.entry_for(key)) found->entries.push_back(std::move(*entry));
                         }
                         found->forgotten = file.forgotten();
                       },
                   .finish =
                       [arrival, found, executor = executor_](std::optional<StoreError> error) {
                         post(executor, arrival,
                              error ? Found(std::unexpected(std::move(*error))) : Found(std::move(*found)));
                       },
                   .kind = JobKind::kReads});
  return arrival;
}

void SqliteJournal::remember_history(std::string history) {
  writer_->submit({.work = [history = std::move(history)](File& file) { file.remember_history.run(history); },
                   .finish = {},
                   .kind = JobKind::kRemembersHistory});
}

void SqliteJournal::close() {
  writer_->stop();
}

}  // namespace hasigner::sqlite
