#include "hasigner/store/sqlite/disk_under_test.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace hasigner::sqlite::test {

DiskUnderTest& DiskUnderTest::instance() {
  static DiskUnderTest disk;
  return disk;
}

std::vector<std::filesystem::path> DiskUnderTest::take_synced() {
  const std::lock_guard lock(mutex_);
  return std::exchange(synced_, {});
}

void DiskUnderTest::become(Condition condition) {
  const std::lock_guard lock(mutex_);
  condition_ = condition;
  is_asked_ = false;
  changed_.notify_all();
}

void DiskUnderTest::stand_still() {
  become(Condition::kStandsStill);
}

void DiskUnderTest::take_no_time() {
  become(Condition::kTakesNoTime);
}

void DiskUnderTest::break_down() {
  become(Condition::kBroken);
}

void DiskUnderTest::fail_once() {
  become(Condition::kFailsOnce);
}

void DiskUnderTest::go_on() {
  become(Condition::kSound);
}

void DiskUnderTest::wait_until_asked() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_asked_; });
}

int DiskUnderTest::sync(int descriptor, long number_of_call) {
  std::error_code unknown;
  auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), unknown);
  std::unique_lock lock(mutex_);
  is_asked_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return condition_ != Condition::kStandsStill; });
  if (condition_ == Condition::kBroken || condition_ == Condition::kFailsOnce) {
    if (condition_ == Condition::kFailsOnce) condition_ = Condition::kSound;
    errno = EIO;
    return -1;
  }
  synced_.push_back(std::move(path));
  if (condition_ == Condition::kTakesNoTime) return 0;
  lock.unlock();
  return static_cast<int>(::syscall(number_of_call, descriptor));
}

}  // namespace hasigner::sqlite::test

// The dynamic linker finds these before those of the C library, also for SQLite.
extern "C" int fsync(int descriptor) {
  return hasigner::sqlite::test::DiskUnderTest::instance().sync(descriptor, SYS_fsync);
}
extern "C" int fdatasync(int descriptor) {
  return hasigner::sqlite::test::DiskUnderTest::instance().sync(descriptor, SYS_fdatasync);
}
