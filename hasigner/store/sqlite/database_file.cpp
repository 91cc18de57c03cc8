#include "hasigner/store/sqlite/database_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::sqlite {
namespace {

using Refusal = std::unexpected<std::string>;

std::string quoted(const std::string& path) {
  return "\"" + printable(path, 4096) + "\"";
}

std::string why(int error) {
  return std::strerror(error);
}

std::expected<std::string, int> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return std::unexpected(errno);
  return std::string(resolved.get());
}

std::string cannot_make(const std::string& folder, const std::string& path, int error) {
  return "cannot make the database " + quoted(path) + ": " + why(error) + ". Give this user the right to write in " +
         quoted(folder) + ", or name another file";
}

/// Makes an empty file that appears under its name complete with its rights, also when another process makes it at the
/// same time.
std::optional<std::string> make_file(const std::string& folder, const std::string& path) {
  std::string draft = path + ".new-XXXXXX";
  const int descriptor = ::mkostemp(draft.data(), O_CLOEXEC);  // mode 0600
  if (descriptor < 0) return cannot_make(folder, path, errno);
  ::close(descriptor);
  const int linked = ::link(draft.c_str(), path.c_str());
  const int error = errno;
  ::unlink(draft.c_str());
  if (linked != 0 && error != EEXIST) return "cannot make the database " + quoted(path) + ": " + why(error);
  // The file's name must survive a power cut as well as what is in it.
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || ::fsync(directory) != 0) {
    const std::string reason = why(errno);
    if (directory >= 0) ::close(directory);
    return "cannot make the folder " + quoted(folder) + " durable: " + reason;
  }
  ::close(directory);
  return std::nullopt;
}

/// Quoted for a shell.
std::string in_shell(const std::string& path) {
  std::string text = "'";
  for (const char c : printable(path, 4096)) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string octal(mode_t mode) {
  std::string digits;
  for (const int shift : {9, 6, 3, 0}) digits.push_back(static_cast<char>('0' + (mode >> shift & 7)));
  return digits;
}

constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

/// kOnlyLook: nothing is changed, and the mode is the one that kChange would leave.
enum class Tighten : std::uint8_t { kChange, kOnlyLook };

/// The mode of a file or folder, after others have lost the right to write it where it is ours to change. They get that
/// right unintended: from Kubernetes, which opens a volume to the group of `fsGroup` at each start, and from a umask of
/// 002. A folder with the sticky bit, such as /tmp, is shared on purpose and stays as it is.
std::expected<mode_t, int> tightened_mode(const std::string& path, Tighten tighten) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return std::unexpected(errno);
  const bool is_shared_folder = S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX) != 0;
  const bool is_ours = found.st_uid == ::geteuid() && !S_ISLNK(found.st_mode) && !is_shared_folder;
  if ((found.st_mode & kOthersWrite) == 0 || !is_ours) return found.st_mode;
  if (tighten == Tighten::kOnlyLook) return found.st_mode & ~kOthersWrite;
  // Some file systems keep their modes whatever is asked, so the outcome is looked at.
  (void)::chmod(path.c_str(), found.st_mode & ~(S_IFMT | kOthersWrite));
  if (::lstat(path.c_str(), &found) != 0) return std::unexpected(errno);
  return found.st_mode;
}

/// A user who can write the file, or put another one in its place, decides what is signed twice.
std::optional<std::string> folder_open_to_others(const std::string& folder, Tighten tighten) {
  const auto mode = tightened_mode(folder, tighten);
  if (!mode) return "cannot look at the folder " + quoted(folder) + ": " + why(mode.error());
  if ((*mode & kOthersWrite) == 0) return std::nullopt;
  return "other users can write in " + quoted(folder) + " (mode " + octal(*mode) +
         "), where the database and its log stand, and this user cannot change that: put the database into a folder "
         "of its own, such as " +
         quoted(folder + "/ha-signer") + ", or let the owner run chmod go-w " + in_shell(folder);
}

/// The database, and what SQLite and the nodes keep beside it.
std::optional<std::string> files_open_to_others(const std::string& database, Tighten tighten) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal", "-nodes"}) {
    const std::string path = database + suffix;
    const auto mode = tightened_mode(path, tighten);
    if (!mode && mode.error() == ENOENT) continue;
    if (!mode) return "cannot look at " + quoted(path) + ": " + why(mode.error());
    if (!S_ISREG(*mode)) return quoted(path) + " is not an ordinary file: remove it, or name another database";
    if ((*mode & kOthersWrite) == 0) continue;
    return "other users can write " + quoted(path) + " (mode " + octal(*mode) +
           "), and this user cannot change that: let its owner run chmod go-w " + in_shell(path);
  }
  return std::nullopt;
}

std::string is_dangling_link(const std::string& path) {
  return quoted(path) + " is a symbolic link to a file that is not there: make it, or remove the link";
}

/// Why locate() could not make a file that is not there. Where its folder is not there either, the nearest one above it
/// counts.
std::optional<std::string> complaint_about_making(const std::string& path, const std::string& asked) {
  struct stat found {};
  if (::lstat(asked.c_str(), &found) == 0) return is_dangling_link(path);
  const auto parent = std::filesystem::path(asked).parent_path();
  auto folder = parent;
  while (::stat(folder.c_str(), &found) != 0 && errno == ENOENT && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return cannot_make(folder.string(), path, errno);
  if (folder != parent) return std::nullopt;
  return folder_open_to_others(folder.string(), Tighten::kOnlyLook);
}

std::optional<std::string> complaint_about(const std::string& path) {
  if (path.empty()) return "no path was given for the database: write sqlite:PATH";
  if (path.find('\0') != std::string::npos) return "the path of the database holds a NUL character";
  if (path == ":memory:") {
    return "\":memory:\" would forget every signature when the process ends: name a file on a disk";
  }
  return std::nullopt;
}

}  // namespace

std::expected<DatabaseFile, std::string> DatabaseFile::locate(const std::string& path) {
  if (const auto reason = complaint_about(path)) return Refusal(*reason);
  const std::string asked = std::filesystem::absolute(path).string();
  auto resolved = real_path(asked);
  if (!resolved && resolved.error() == ENOENT) {
    const auto folder = real_path(std::filesystem::path(asked).parent_path().string());
    const std::string name = std::filesystem::path(asked).filename().string();
    if (!folder || name.empty()) {
      return Refusal("the folder of the database " + quoted(path) + " is not there: make it first");
    }
    if (const auto reason = folder_open_to_others(*folder, Tighten::kChange)) return Refusal(*reason);
    // A name that is taken, by another process that was sooner or by a link, is left as it is.
    if (const auto reason = make_file(*folder, *folder + "/" + name)) return Refusal(*reason);
    resolved = real_path(asked);
    if (!resolved && resolved.error() == ENOENT) {
      return Refusal(is_dangling_link(path));
    }
  }
  if (!resolved) return Refusal("cannot reach the database " + quoted(path) + ": " + why(resolved.error()));
  return checked(asked, *resolved, Rights::kTakeFromOthers);
}

std::expected<std::optional<DatabaseFile>, std::string> DatabaseFile::look(const std::string& path) {
  if (const auto reason = complaint_about(path)) return Refusal(*reason);
  const std::string asked = std::filesystem::absolute(path).string();
  const auto resolved = real_path(asked);
  if (!resolved && resolved.error() == ENOENT) {
    if (const auto reason = complaint_about_making(path, asked)) return Refusal(*reason);
    return std::nullopt;
  }
  if (!resolved) return Refusal("cannot reach the database " + quoted(path) + ": " + why(resolved.error()));
  auto file = checked(asked, *resolved, Rights::kOnlyLook);
  if (!file) return Refusal(std::move(file.error()));
  return std::move(*file);
}

std::expected<DatabaseFile, std::string> DatabaseFile::checked(std::string asked, std::string resolved, Rights rights) {
  const auto tighten = rights == Rights::kOnlyLook ? Tighten::kOnlyLook : Tighten::kChange;
  DatabaseFile file;
  file.asked_ = std::move(asked);
  file.path_ = std::move(resolved);
  const std::string& path = file.asked_;
  struct stat found {};
  if (::stat(file.path_.c_str(), &found) != 0) {
    return Refusal("cannot reach the database " + quoted(path) + ": " + why(errno));
  }
  if (S_ISDIR(found.st_mode)) return Refusal(quoted(path) + " is a folder: name a file in it");
  if (!S_ISREG(found.st_mode)) return Refusal(quoted(path) + " is not an ordinary file: name another");
  if (::access(file.path_.c_str(), R_OK | W_OK) != 0) {
    return Refusal("this user may not read and write the database " + quoted(path) + ": " + why(errno));
  }
  const std::string folder = std::filesystem::path(file.path_).parent_path().string();
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return Refusal("this user may not write in " + quoted(folder) + ", where the log of the database " + quoted(path) +
                   " must stand: " + why(errno));
  }
  // The folder first: then no other user can exchange a file in it.
  if (const auto reason = folder_open_to_others(folder, tighten)) return Refusal(*reason);
  if (const auto reason = files_open_to_others(file.path_, tighten)) return Refusal(*reason);
  file.identity_ = {found.st_dev, found.st_ino};
  return file;
}

std::expected<DatabaseFile::Identity, int> DatabaseFile::identity_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::unexpected(errno);
  return Identity{found.st_dev, found.st_ino};
}

std::optional<std::string> DatabaseFile::changed() const {
  for (const std::string* path : {&asked_, &path_}) {
    const auto found = identity_of(*path);
    if (!found) {
      return "the database " + quoted(*path) + " is gone (" + why(found.error()) +
             "). Nothing is signed any more: put the same file back and start again";
    }
    if (*found != identity_) {
      return "another file has taken the place of the database " + quoted(*path) +
             ". Nothing is signed any more: make sure that it holds every signature, then start again";
    }
  }
  for (const LogFile& file : log_) {
    const auto found = identity_of(file.path);
    if (found && *found == file.identity) continue;
    return "the log of the database, " + quoted(file.path) + ", " +
           (found ? std::string("is another file now") : "is gone (" + why(found.error()) + ")") +
           ", so what was signed last may be lost. Nothing is signed any more: stop every node on this database, make "
           "sure that it holds every signature, then start again";
  }
  return std::nullopt;
}

std::optional<std::string> DatabaseFile::remember_log(LogIndex index) {
  if (!log_.empty()) return changed();
  std::vector<LogFile> log;
  for (const char* suffix : {"-wal", "-shm"}) {
    if (index == LogIndex::kInMemory && suffix == std::string_view("-shm")) continue;
    const std::string path = path_ + suffix;
    const auto found = identity_of(path);
    if (!found) {
      return "the log of the database, " + quoted(path) + ", is not there (" + why(found.error()) +
             ") although the database is open. Nothing is signed any more: stop whatever removes it, then start again";
    }
    log.push_back({path, *found});
  }
  log_ = std::move(log);
  return std::nullopt;
}

}  // namespace hasigner::sqlite
