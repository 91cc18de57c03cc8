#include "hasigner/store/sqlite/node_locks.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hasigner/duty/assert.hpp"

namespace hasigner::sqlite {
namespace {

/// Lock numbers of nodes begin at 1.
constexpr std::int64_t kWaitingByte = 0;

struct flock byte_lock(short type, std::int64_t number) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  return lock;
}

/// Whether a lock of this type would be refused because of another process's.
bool is_refused(int descriptor, short type, std::int64_t number) {
  struct flock lock = byte_lock(type, number);
  // A lock that cannot be asked about counts as held: then no living node is taken for dead.
  return ::fcntl(descriptor, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace

std::expected<std::unique_ptr<NodeLocks>, std::string> NodeLocks::open(const std::string& path) {
  std::unique_ptr<NodeLocks> locks(new NodeLocks(path));
  const int descriptor = locks->descriptor_.get();
  if (descriptor < 0) return std::unexpected("cannot open the node locks \"" + path + "\": " + std::strerror(errno));
  struct stat found {};
  if (::fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) {
    return std::unexpected("\"" + path + "\" must be an ordinary file: remove it");
  }
  struct flock probe = byte_lock(F_WRLCK, kWaitingByte);
  if (::fcntl(descriptor, F_OFD_GETLK, &probe) != 0) {
    return std::unexpected("the file system of \"" + path + "\" knows no file locks (" + std::strerror(errno) +
                           "): put the database on a local disk");
  }
  locks->device_ = found.st_dev;
  locks->inode_ = found.st_ino;
  return locks;
}

std::set<std::int64_t> NodeLocks::held_in(const std::string& path, const std::vector<std::int64_t>& numbers) {
  std::set<std::int64_t> held;
  const ClosedInChildren file(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (file.get() < 0) return held;
  for (const auto number : numbers) {
    if (is_refused(file.get(), F_WRLCK, number)) held.insert(number);
  }
  return held;
}

NodeLocks::NodeLocks(std::string path)
    : descriptor_(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600), path_(std::move(path)) {}

NodeLocks::~NodeLocks() {
  // Explicitly, because a child process that was made without fork() may still hold a copy of the descriptor.
  struct flock all = byte_lock(F_UNLCK, 0);
  all.l_len = 0;
  ::fcntl(descriptor_.get(), F_OFD_SETLK, &all);
}

bool NodeLocks::take(std::int64_t number) {
  HASIGNER_ASSERT(number > kWaitingByte && !holds(number));
  struct flock lock = byte_lock(F_WRLCK, number);
  if (::fcntl(descriptor_.get(), F_OFD_SETLK, &lock) != 0) return false;
  held_.insert(number);
  return true;
}

void NodeLocks::release(std::int64_t number) {
  if (held_.erase(number) == 0) return;
  struct flock lock = byte_lock(F_UNLCK, number);
  ::fcntl(descriptor_.get(), F_OFD_SETLK, &lock);
}

bool NodeLocks::is_held(std::int64_t number) const {
  return holds(number) || is_refused(descriptor_.get(), F_WRLCK, number);
}

void NodeLocks::announce_waiting() {
  struct flock lock = byte_lock(F_RDLCK, kWaitingByte);
  ::fcntl(descriptor_.get(), F_OFD_SETLK, &lock);
}

void NodeLocks::stop_waiting() {
  struct flock lock = byte_lock(F_UNLCK, kWaitingByte);
  ::fcntl(descriptor_.get(), F_OFD_SETLK, &lock);
}

bool NodeLocks::others_wait() const {
  return is_refused(descriptor_.get(), F_WRLCK, kWaitingByte);
}

std::optional<std::string> NodeLocks::changed() const {
  struct stat found {};
  if (::stat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) return std::nullopt;
  return "the file of node locks \"" + path_ +
         "\" has been moved or replaced, so nodes cannot see each other. Stop every node of this database, then start "
         "again";
}

}  // namespace hasigner::sqlite
