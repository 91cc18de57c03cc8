// A disk that fails on command, between a program and the kernel (LD_PRELOAD). It watches the files of one folder:
//
// HASIGNER_DISK_FOLDER       the folder, a real path
// HASIGNER_DISK_KILL_AT      the process is killed at its N-th change of a watched file; of a write, half is done
// HASIGNER_DISK_DURABLE      a folder that gets what would survive a power cut: the contents of each file as of its
//                            last sync, and the list `names` as of the last sync of the folder
// HASIGNER_DISK_SYNCHRONOUS  takes the place of `full` in `pragma synchronous=full`: a fault to be noticed

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

struct sqlite3;

namespace {

namespace fs = std::filesystem;

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Never destroyed: threads of the program may write while it ends.
const std::string& folder() {
  static const auto* value = new std::string(setting("HASIGNER_DISK_FOLDER"));
  return *value;
}

const std::string& durable() {
  static const auto* value = new std::string(setting("HASIGNER_DISK_DURABLE"));
  return *value;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

std::string path_of(int descriptor) {
  std::array<char, PATH_MAX> path{};
  const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path.data(), path.size());
  return size < 0 ? "" : std::string(path.data(), static_cast<std::size_t>(size));
}

bool is_watched(const std::string& path) {
  return !folder().empty() && path.starts_with(folder() + "/");
}

bool is_watched(int descriptor) {
  return !folder().empty() && is_watched(path_of(descriptor));
}

/// Counts a change of a watched file. True: the process ends with it.
bool is_last_change() {
  static const long kill_at = std::atol(setting("HASIGNER_DISK_KILL_AT").c_str());
  static std::atomic<long> count = 0;
  return kill_at > 0 && ++count == kill_at;
}

void die() {
  ::kill(getpid(), SIGKILL);
  pause();
}

/// What no other file of this folder has or had: inodes are used again. The file is not opened: closing it would end
/// the program's own locks on it.
std::string identity_of(int folder_or_file, const char* path) {
  struct statx found {};
  if (statx(folder_or_file, path, AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) != 0) return "";
  return std::to_string(found.stx_ino) + "." + std::to_string(found.stx_btime.tv_sec) + "." +
         std::to_string(found.stx_btime.tv_nsec);
}

ssize_t write_all(int descriptor, const char* bytes, std::size_t size, off64_t at) {
  static auto* const pwrite_next = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  std::size_t done = 0;
  while (done < size) {
    const ssize_t step = pwrite_next(descriptor, bytes + done, size - done, at + static_cast<off64_t>(done));
    if (step < 0) return -1;
    done += static_cast<std::size_t>(step);
  }
  return static_cast<ssize_t>(done);
}

/// What the file holds now is durable. A kill in between leaves a part of it, as a power cut during a sync may.
void keep_contents(int descriptor) {
  const std::string name = durable() + "/" + identity_of(descriptor, "");
  const int copy = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (copy < 0) return;
  flock(copy, LOCK_EX);
  std::array<char, 65536> bytes{};
  off64_t at = 0;
  for (ssize_t size = 0; (size = pread64(descriptor, bytes.data(), bytes.size(), at)) > 0; at += size)
    write_all(copy, bytes.data(), static_cast<std::size_t>(size), at);
  static auto* const ftruncate_next = next<int(int, off64_t)>("ftruncate64");
  ftruncate_next(copy, at);
  close(copy);
}

/// Which files the folder has now is durable.
void keep_names() {
  const std::string draft = durable() + "/names." + std::to_string(gettid());
  std::ofstream names(draft);
  for (const auto& entry : fs::directory_iterator(folder())) {
    const std::string identity = identity_of(AT_FDCWD, entry.path().c_str());
    if (!identity.empty()) names << identity << ' ' << entry.path().filename().string() << '\n';
  }
  names.close();
  fs::rename(draft, durable() + "/names");
}

/// Makes a file, or the folder, durable. True: it was one of ours, and the kernel need not be asked.
bool sync_watched(int descriptor) {
  const std::string path = path_of(descriptor);
  const bool is_folder = !folder().empty() && path == folder();
  if (!is_folder && !is_watched(path)) return false;
  if (is_last_change()) die();
  if (durable().empty()) return false;
  if (is_folder) {
    keep_names();
  } else {
    keep_contents(descriptor);
  }
  return true;
}

}  // namespace

extern "C" {

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t at) {
  static auto* const call = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  if (is_watched(descriptor) && is_last_change()) {
    call(descriptor, bytes, size / 2, at);
    die();
  }
  return call(descriptor, bytes, size, at);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t at) {
  return pwrite64(descriptor, bytes, size, at);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static auto* const call = next<ssize_t(int, const void*, size_t)>("write");
  if (is_watched(descriptor) && is_last_change()) {
    call(descriptor, bytes, size / 2);
    die();
  }
  return call(descriptor, bytes, size);
}

int ftruncate64(int descriptor, off64_t size) {
  static auto* const call = next<int(int, off64_t)>("ftruncate64");
  if (is_watched(descriptor) && is_last_change()) die();
  return call(descriptor, size);
}

int ftruncate(int descriptor, off_t size) {
  return ftruncate64(descriptor, size);
}

int unlink(const char* path) {
  static auto* const call = next<int(const char*)>("unlink");
  if (is_watched(path) && is_last_change()) die();
  return call(path);
}

int fsync(int descriptor) {
  static auto* const call = next<int(int)>("fsync");
  return sync_watched(descriptor) ? 0 : call(descriptor);
}

int fdatasync(int descriptor) {
  static auto* const call = next<int(int)>("fdatasync");
  return sync_watched(descriptor) ? 0 : call(descriptor);
}

int sqlite3_exec(sqlite3* database, const char* sql, int (*row)(void*, int, char**, char**), void* context,
                 char** error) {
  using Row = int (*)(void*, int, char**, char**);
  static auto* const call = next<int(sqlite3*, const char*, Row, void*, char**)>("sqlite3_exec");
  static const auto* const mode = new std::string(setting("HASIGNER_DISK_SYNCHRONOUS"));
  constexpr std::string_view kFull = "pragma synchronous=full";
  std::string text = sql == nullptr ? "" : sql;
  if (const auto at = text.find(kFull); !mode->empty() && at != std::string::npos)
    text.replace(at, kFull.size(), "pragma synchronous=" + *mode);
  return call(database, sql == nullptr ? nullptr : text.c_str(), row, context, error);
}

}  // extern "C"
