#include "hasigner/service/audit_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>

#include "hasigner/async/signals_blocked.hpp"

namespace hasigner::service {

namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

/// The last line is looked for in so many bytes at the end; it is shorter.
constexpr std::size_t kTail = 256 * 1024;
/// Of one write, about.
constexpr std::size_t kWriteLines = 500;
constexpr auto kBetweenSyncs = std::chrono::seconds(1);

std::string why(int error) {
  return std::generic_category().message(error);
}

struct InUse : std::runtime_error {
  using runtime_error::runtime_error;
};

std::string named(const std::filesystem::path& path) {
  return "the audit log '" + printable(path.string(), 300) + "' ";
}

/// An open file that no other process has locked.
class LockedFile {
 public:
  LockedFile() = default;
  LockedFile(const std::filesystem::path& path, int more_flags)
      : descriptor_(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | more_flags, S_IRUSR | S_IWUSR)) {
    if (descriptor_ < 0) fail(path, "cannot be opened: " + why(errno));
    struct stat found {};
    if (::fstat(descriptor_, &found) != 0 || !S_ISREG(found.st_mode)) fail(path, "is not a regular file");
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) fail(path, "can be written by other users: run chmod go-w on it");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      close();
      throw InUse(named(path) + "is used by another process: give each service an audit log of its own");
    }
  }
  ~LockedFile() { close(); }
  LockedFile(LockedFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  LockedFile& operator=(LockedFile&& other) noexcept {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    return *this;
  }

  [[nodiscard]] int native() const { return descriptor_; }
  [[nodiscard]] off_t size() const {
    struct stat found {};
    return ::fstat(descriptor_, &found) == 0 ? found.st_size : -1;
  }
  /// Whether it is the file of that name.
  [[nodiscard]] bool is_at(const std::filesystem::path& path) const {
    struct stat ours {
    }, there{};
    return ::fstat(descriptor_, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
  }

 private:
  [[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
    close();
    throw std::runtime_error(named(path) + reason);
  }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  int descriptor_ = -1;
};

/// The end of a file.
struct Tail {
  AuditHead head;
  std::string torn;        ///< after the last whole line
  off_t whole = 0;         ///< bytes of whole lines
  bool is_broken = false;  ///< the last whole line is not of a chain
};

/// Another file, which was named by mistake, must stay as it is.
void require_audit_log(const LockedFile& file, const std::filesystem::path& path) {
  constexpr std::string_view kBegin = R"({"sequence":)";
  std::string begin(kBegin.size(), '\0');
  const auto count = ::pread(file.native(), begin.data(), begin.size(), 0);
  if (count >= 0 && kBegin.starts_with(std::string_view(begin).substr(0, static_cast<std::size_t>(count)))) return;
  throw std::runtime_error(named(path) +
                           "is a file of another kind, and was left as it is: HA_SIGNER_AUDIT_LOG (--audit-log) must "
                           "name a new file or an earlier audit log");
}

Tail read_tail(const LockedFile& file, const std::filesystem::path& path) {
  const auto size = file.size();
  std::string text(std::min(kTail, static_cast<std::size_t>(std::max<off_t>(size, 0))), '\0');
  const auto begin = size - static_cast<off_t>(text.size());
  if (size < 0 || ::pread(file.native(), text.data(), text.size(), begin) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error(named(path) + "cannot be read: " + why(errno));
  }
  Tail tail;
  const auto end = text.rfind('\n');
  tail.torn = text.substr(end == std::string::npos ? 0 : end + 1);
  tail.whole = size - static_cast<off_t>(tail.torn.size());
  tail.is_broken = end == std::string::npos && begin > 0;
  if (end == std::string::npos) return tail;
  const auto before = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const auto last = before == std::string::npos ? 0 : before + 1;
  const auto line = read_audit_line(std::string_view(text).substr(last, end - last));
  tail.is_broken = !line;
  if (line) tail.head = line->head;
  return tail;
}

std::string index_text(std::int64_t index) {
  return index < 0 ? "" : std::to_string(index);
}

std::vector<LogField> with_duty(std::vector<LogField> fields, const AuditedDuty& duty) {
  fields.emplace_back("signer", duty.signer.to_string());
  if (const auto& context = duty.context) {
    fields.emplace_back("dutyType", to_string(context->duty_type));
    fields.emplace_back("slot", context->slot.to_string());
    const auto index = index_text(context->block_index.value_or(kNoBlockIndex));
    if (!index.empty()) fields.emplace_back("blockIndexWithinCheckpoint", index);
  }
  fields.emplace_back("messageHash", duty.hash.to_string());
  fields.emplace_back("outcome", duty.outcome);
  return fields;
}

struct Waiting {
  system_clock::time_point at;
  AuditEntry entry;

  [[nodiscard]] std::size_t lines() const { return std::max<std::size_t>(1, entry.duties.size()); }
};

}  // namespace

struct AuditLog::State {
  /// While it lives the thread waits for the disk.
  class AtDisk {
   public:
    explicit AtDisk(State& state) : state_(state) { set(steady_clock::now()); }
    ~AtDisk() { set(std::nullopt); }
    AtDisk(const AtDisk&) = delete;
    AtDisk& operator=(const AtDisk&) = delete;

   private:
    void set(std::optional<steady_clock::time_point> since) {
      const std::scoped_lock lock(state_.mutex);
      state_.at_disk_since = since;
    }
    State& state_;
  };

  State(std::filesystem::path path_in, std::vector<LogField> about_in, std::shared_ptr<Log> log_in,
        AuditLimits limits_in)
      : path(std::move(path_in)), about(std::move(about_in)), log(std::move(log_in)), limits(limits_in) {}

  /// Returns false when it cannot be opened; the reason is told.
  bool open() {
    if (is_open) return true;
    try {
      const AtDisk at_disk(*this);
      begin_or_resume();
      is_open = true;
    } catch (const std::runtime_error& error) {
      file = LockedFile();
      report(error.what());
    }
    const std::scoped_lock lock(mutex);
    has_tried = true;
    changed.notify_all();
    return is_open;
  }

  /// Errors: throws std::runtime_error with a sentence that names the file.
  void begin_or_resume() {
    file = LockedFile(path, O_CREAT);
    require_audit_log(file, path);
    auto tail = read_tail(file, path);
    auto fields = about;
    if (tail.is_broken) {
      const auto aside = path.string() + ".broken-" + iso_text(system_clock::now());
      if (::rename(path.c_str(), aside.c_str()) != 0) {
        throw std::runtime_error(named(path) +
                                 "ends with what is not a line of an audit log, and cannot be renamed: " + why(errno));
      }
      log->write(LogLevel::kError, "audit_log_broken",
                 {{"meaning", "the end of the audit log is not of a chain; it was renamed, and a new one begins"},
                  {"file", aside}});
      fields.emplace_back("setAside", aside);
      file = LockedFile(path, O_CREAT | O_EXCL);
      tail = {};
    }
    if (!tail.torn.empty()) {
      if (::ftruncate(file.native(), tail.whole) != 0) {
        throw std::runtime_error(named(path) + "ends with a part of a line, which cannot be taken away: " + why(errno));
      }
      fields.emplace_back("removedPart", tail.torn);
    }
    head = tail.head;
    const std::scoped_lock lock(mutex);
    lines.push_front({system_clock::now(), {head.sequence == 0 ? "begin" : "resume", std::move(fields)}});
    ++waiting;
    shown.head = head;
  }

  void add(AuditEntry entry) {
    Waiting next{system_clock::now(), std::move(entry)};
    const std::scoped_lock lock(mutex);
    if (ending || waiting + next.lines() > limits.waiting) {
      lost_unsaid += next.lines();
      shown.lost += next.lines();
      return;
    }
    waiting += next.lines();
    lines.push_back(std::move(next));
    changed.notify_all();
  }

  void run() {
    do {
      while (!open() || !write_all()) {
        std::unique_lock lock(mutex);
        if (ending) return give_up();
        changed.wait_for(lock, limits.retry, [this] { return ending; });
      }
    } while (wait_for_work());
    sync();
  }

  /// Returns false at the end, when nothing waits.
  bool wait_for_work() {
    std::unique_lock lock(mutex);
    const auto has_work = [this] { return !lines.empty() || !unwritten.empty() || reopens || ending; };
    // What is written and not forced to the disk yet is forced when nothing comes for a while.
    if (is_dirty && !changed.wait_for(lock, kBetweenSyncs, has_work)) {
      lock.unlock();
      sync();
      lock.lock();
    }
    changed.wait(lock, has_work);
    return !lines.empty() || !unwritten.empty() || reopens;
  }

  /// Returns false when the file cannot be written.
  bool write_all() {
    if (take_reopen()) reopen_file();
    while (take_some()) {
      if (!write_some()) return false;
    }
    return true;
  }

  bool take_reopen() {
    const std::scoped_lock lock(mutex);
    return std::exchange(reopens, false);
  }

  void reopen_file() {
    if (file.is_at(path)) return;
    try {
      LockedFile next = open_next();
      if (next.size() != 0) throw std::runtime_error("the audit log was renamed, and the new file is not empty");
      sync();
      file = std::move(next);
      cut_to.reset();
      const std::scoped_lock lock(mutex);
      lines.push_front({system_clock::now(), {"continue", about}});
      ++waiting;
    } catch (const std::runtime_error& error) {
      log->write(LogLevel::kError, "audit_log_not_renewed",
                 {{"meaning", "lines go on into the file that was renamed or removed"}, {"reason", error.what()}});
    }
  }

  [[nodiscard]] LockedFile open_next() {
    const AtDisk at_disk(*this);
    return {path, O_CREAT};
  }

  /// Takes the lines of the next write out of the queue, unless some are there that could not be written. Returns false
  /// when there are none.
  bool take_some() {
    if (!unwritten.empty()) return true;
    std::vector<Waiting> taken;
    std::size_t lost = 0;
    {
      const std::scoped_lock lock(mutex);
      while (!lines.empty() && unwritten_lines < kWriteLines) {
        unwritten_lines += lines.front().lines();
        taken.push_back(std::move(lines.front()));
        lines.pop_front();
      }
      if (!taken.empty()) lost = std::exchange(lost_unsaid, 0);
    }
    unwritten_head = head;
    const auto add_line = [this](const Waiting& one, const std::string& event, const std::vector<LogField>& fields) {
      unwritten += next_audit_line(unwritten_head, one.at, event, fields);
    };
    for (const auto& one : taken) {
      const auto& [event, fields, duties] = one.entry;
      if (duties.empty()) add_line(one, event, fields);
      for (const auto& duty : duties) add_line(one, event, with_duty(fields, duty));
    }
    if (lost > 0) add_line(taken.back(), "lost", {{"count", std::to_string(lost)}});
    return !unwritten.empty();
  }

  bool write_some() {
    if (const auto error = append(unwritten)) {
      report(named(path) + "cannot be written: " + *error);
      return false;
    }
    unwritten.clear();
    head = unwritten_head;
    is_dirty = true;
    report("");
    if (steady_clock::now() - synced_at > kBetweenSyncs) sync();
    const std::scoped_lock lock(mutex);
    waiting -= std::exchange(unwritten_lines, 0);
    shown.head = head;
    return true;
  }

  /// Appends all of it or nothing. Returns what the system says.
  std::optional<std::string> append(std::string_view text) {
    const AtDisk at_disk(*this);
    if (cut_to && ::ftruncate(file.native(), *cut_to) != 0) return why(errno);
    cut_to.reset();
    const auto before = file.size();
    while (!text.empty()) {
      const auto written = ::write(file.native(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const auto error = why(written < 0 ? errno : ENOSPC);
        if (::ftruncate(file.native(), before) != 0) cut_to = before;
        return error;
      }
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return std::nullopt;
  }

  void sync() {
    synced_at = steady_clock::now();
    if (!std::exchange(is_dirty, false)) return;
    const int failed = [this] {
      const AtDisk at_disk(*this);
      return ::fdatasync(file.native()) == 0 ? 0 : errno;
    }();
    if (failed != 0) report("the audit log cannot be forced to the disk: " + why(failed));
  }

  void report(const std::string& failure) {
    {
      const std::scoped_lock lock(mutex);
      if (shown.failure == failure) return;
      shown.failure = failure;
    }
    if (failure.empty()) return log->write(LogLevel::kInfo, "audit_log_works", {});
    log->write(LogLevel::kError, "audit_log_fails",
               {{"reason", failure},
                {"meaning", "lines of the audit log wait, and are lost when there are too many; signing goes on"}});
  }

  /// With the lock held, at the end.
  void give_up() {
    shown.lost += waiting;
    log->write(LogLevel::kError, "audit_lines_lost", {{"count", std::to_string(waiting)}});
  }

  const std::filesystem::path path;
  const std::vector<LogField> about;
  const std::shared_ptr<Log> log;
  const AuditLimits limits;

  // Of the thread.
  LockedFile file;
  bool is_open = false;
  AuditHead head;
  std::string unwritten;  ///< lines that were taken out of the queue
  std::size_t unwritten_lines = 0;
  AuditHead unwritten_head;
  std::optional<off_t> cut_to;  ///< a part of a line stands behind
  bool is_dirty = false;
  steady_clock::time_point synced_at;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<Waiting> lines;
  std::size_t waiting = 0;  ///< lines that are not written
  std::size_t lost_unsaid = 0;
  AuditStatus shown;
  std::optional<steady_clock::time_point> at_disk_since;
  bool has_tried = false;  ///< to open the file
  bool reopens = false;
  bool ending = false;
  bool has_ended = false;
};

AuditLog::AuditLog(std::filesystem::path file, std::vector<LogField> about, std::shared_ptr<Log> log,
                   AuditLimits limits)
    : state_(std::make_shared<State>(std::move(file), std::move(about), std::move(log), limits)) {
  const SignalsBlocked signals_blocked;
  thread_ = std::thread([state = state_] {
    state->run();
    const std::scoped_lock lock(state->mutex);
    state->has_ended = true;
    state->changed.notify_all();
  });
  std::unique_lock lock(state_->mutex);
  if (state_->changed.wait_for(lock, limits.first_try, [this] { return state_->has_tried; })) return;
  lock.unlock();
  state_->report("the audit log '" + printable(state_->path.string(), 300) + "' is not open: its disk does not answer");
}

AuditLog::~AuditLog() {
  end();
}

void AuditLog::note(AuditEntry entry) {
  state_->add(std::move(entry));
}

void AuditLog::reopen() {
  const std::scoped_lock lock(state_->mutex);
  state_->reopens = true;
  state_->changed.notify_all();
}

AuditStatus AuditLog::status() const {
  const std::scoped_lock lock(state_->mutex);
  auto shown = state_->shown;
  const auto& since = state_->at_disk_since;
  if (shown.failure.empty() && since && steady_clock::now() - *since > state_->limits.hangs_after) {
    shown.failure = "the disk of the audit log does not answer";
  }
  return shown;
}

FoundAuditLog look_at_audit_log(const std::filesystem::path& file) {
  FoundAuditLog found;
  struct stat there {};
  found.is_there = ::stat(file.c_str(), &there) == 0 || errno != ENOENT;
  if (!found.is_there) {
    const auto folder = std::filesystem::absolute(file).parent_path();
    if (::access(folder.c_str(), W_OK | X_OK) != 0) found.refusal = named(file) + "cannot be made: " + why(errno);
    return found;
  }
  try {
    const LockedFile opened(file, 0);
    require_audit_log(opened, file);
  } catch (const InUse&) {
    found.is_in_use = true;
  } catch (const std::runtime_error& error) {
    found.refusal = error.what();
  }
  return found;
}

void AuditLog::end() {
  if (!thread_.joinable()) return;
  std::unique_lock lock(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
  if (state_->changed.wait_for(lock, state_->limits.last_writes, [this] { return state_->has_ended; })) {
    lock.unlock();
    return thread_.join();
  }
  // A call to a disk that hangs cannot be broken off.
  state_->give_up();
  lock.unlock();
  thread_.detach();
}

}  // namespace hasigner::service
