#include "hasigner/store/lmdb/node_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/store/lmdb/duty_record.hpp"
#include "hasigner/store/lmdb/lmdb_file.hpp"

namespace hasigner::lmdb {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNewestSchema = 3;
/// A million duties and more.
constexpr std::size_t kLargestFile = std::size_t{1} << 30;
constexpr std::size_t kLargestVersionFile = 4096;

/// Ends the reading; becomes the error.
struct FolderRefusal {
  FolderError error;
};

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw FolderRefusal{{FolderError::Kind::kUnreadable, "\"" + printable(path.string(), 4096) + "\" " + what}};
}

[[noreturn]] void refuse_unreadable(const fs::path& path, int error) {
  refuse(path, std::string("cannot be read: ") + std::strerror(error));
}

class Descriptor {
 public:
  /// Errors: a FolderRefusal, but for a file that does not exist.
  explicit Descriptor(const fs::path& path)
      : path_(path), number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (number_ < 0 && errno != ENOENT) refuse_unreadable(path, errno);
    if (number_ < 0) return;
    if (const auto status = this->status(); !S_ISREG(status.st_mode)) {
      ::close(number_);
      refuse(path, "is not a file");
    }
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] bool is_open() const { return number_ >= 0; }
  void leave_open() { number_ = -1; }
  [[nodiscard]] int number() const { return number_; }

  [[nodiscard]] struct stat status() const {
    struct stat status {};
    if (::fstat(number_, &status) != 0) refuse_unreadable(path_, errno);
    return status;
  }

  /// What is there from the beginning, up to so many bytes.
  [[nodiscard]] std::string read(std::size_t limit) const {
    std::string bytes(std::min(limit, static_cast<std::size_t>(status().st_size)), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
      const auto count = ::pread(number_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) refuse_unreadable(path_, errno);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
  }

 private:
  fs::path path_;
  int number_;
};

/// Every process that has the environment open holds a read lock on the first byte of lock.mdb.
///
/// The lock is asked for, not taken: a node that started meanwhile would take ours for that of another node, and not
/// set up the mutexes in a file that a crash may have left behind.
void refuse_live_node(const fs::path& folder) {
  Descriptor file(folder / "lock.mdb");
  if (!file.is_open()) return;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  // Of an open file description, so that locks of this very process count, too.
  if (::fcntl(file.number(), F_OFD_GETLK, &lock) != 0) refuse_unreadable(folder / "lock.mdb", errno);
  if (lock.l_type == F_UNLCK) return;
  // A process that closes any descriptor of a file gives up its own locks on it.
  if (lock.l_pid == ::getpid()) file.leave_open();
  throw FolderRefusal{{FolderError::Kind::kInUse, "a node works on \"" + printable(folder.string(), 4096) +
                                                      "\" (it holds the lock of lock.mdb): stop that node first"}};
}

bool is_there(const fs::path& folder) {
  std::error_code error;
  const bool is_empty = fs::is_empty(folder, error);
  if (error == std::errc::no_such_file_or_directory) return false;
  if (error) refuse_unreadable(folder, error.value());
  return !is_empty;
}

const Descriptor& required(const Descriptor& data, const fs::path& folder) {
  if (!data.is_open()) {
    std::error_code error;
    const bool is_above = fs::exists(folder / "signing-protection" / "data.mdb", error);
    refuse(folder, is_above ? "has no data.mdb: name its folder signing-protection"
                            : "has no data.mdb: put the file back; where no history belongs, remove the folder");
  }
  return data;
}

std::string state_of(const Descriptor& data, const fs::path& path) {
  const struct stat status = data.status();
  try {
    const auto transaction = last_transaction(data.read(kBeginning));
    return "transaction " + std::to_string(transaction) + ", " + std::to_string(status.st_size) + " bytes, written " +
           std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
  } catch (const UnreadableFile& error) {
    refuse(path, std::string("cannot be read: ") + error.what());
  }
}

/// Whether there is one. Errors: a FolderRefusal.
bool check_version(const fs::path& folder) {
  const fs::path path = folder / "db_version";
  const Descriptor file(path);
  if (!file.is_open()) return false;
  const auto version = nlohmann::json::parse(file.read(kLargestVersionFile), nullptr, /*allow_exceptions=*/false);
  const auto schema = version.is_object() ? version.find("schemaVersion") : version.end();
  if (!version.is_object() || schema == version.end() || !schema->is_number_integer()) {
    refuse(
        path,
        R"(is not as the node writes it, such as {"schemaVersion":2,"rollupAddress":"0x…"}: restore it from a backup)");
  }
  if (*schema < 1 || *schema > kNewestSchema) {
    refuse(path, "says schema version " + schema->dump() + ", but this program reads 1 to " +
                     std::to_string(kNewestSchema) + ": use a newer version of it");
  }
  return true;
}

HistorySnapshot duties_of(const fs::path& path, std::string_view file) {
  HistorySnapshot snapshot;
  try {
    for_each_entry(file, "data", [&](std::string_view key, std::string_view value) {
      auto duty = parse_duty_record(key, value);
      if (!duty) refuse(path, "cannot be read: " + duty.error());
      snapshot.duties.push_back(std::move(*duty));
    });
  } catch (const UnreadableFile& error) {
    refuse(path, std::string("cannot be read: ") + error.what());
  }
  return snapshot;
}

void refuse_other_than_folder(const fs::path& folder) {
  std::error_code ignored;
  const auto kind = fs::status(folder, ignored).type();
  if (kind == fs::file_type::not_found) {
    refuse(folder, "is not there: name the folder signing-protection of the node's data directory");
  }
  if (kind == fs::file_type::regular) refuse(folder, "is a file: name the folder that it is in");
}

NodeHistory read_folder(const fs::path& folder) {
  refuse_other_than_folder(folder);
  const fs::path path = folder / "data.mdb";
  refuse_live_node(folder);
  const Descriptor data(path);
  NodeHistory history{.snapshot = {}, .state = state_of(required(data, folder), path), .has_version = true};
  if (static_cast<std::size_t>(data.status().st_size) > kLargestFile) {
    refuse(path, "has more than " + std::to_string(kLargestFile >> 20) + " MiB, which this program does not read");
  }
  history.has_version = check_version(folder);
  history.snapshot = duties_of(path, data.read(kLargestFile));
  refuse_live_node(folder);
  const Descriptor again(path);
  if (!again.is_open() || state_of(again, path) != history.state) {
    throw FolderRefusal{{FolderError::Kind::kInUse, "\"" + printable(path.string(), 4096) +
                                                        "\" was written while it was read: stop the node first"}};
  }
  return history;
}

}  // namespace

FolderResult<std::optional<std::string>> state_of(const std::string& folder) {
  try {
    if (!is_there(folder)) return std::nullopt;
    refuse_live_node(folder);
    const Descriptor data(fs::path(folder) / "data.mdb");
    return state_of(required(data, folder), fs::path(folder) / "data.mdb");
  } catch (const FolderRefusal& refusal) {
    return std::unexpected(refusal.error);
  }
}

FolderResult<NodeHistory> read_history(const std::string& folder) {
  try {
    return read_folder(folder);
  } catch (const FolderRefusal& refusal) {
    return std::unexpected(refusal.error);
  }
}

}  // namespace hasigner::lmdb
