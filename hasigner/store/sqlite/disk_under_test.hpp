#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <vector>

namespace hasigner::sqlite::test {

/// Stands between this program and the kernel's calls that make a file or folder durable, fsync() and fdatasync().
/// Thread safety: any thread.
class DiskUnderTest {
 public:
  static DiskUnderTest& instance();

  /// What was made durable since the last call of this.
  [[nodiscard]] std::vector<std::filesystem::path> take_synced();
  /// From now on a call does not return before go_on().
  void stand_still();
  /// From now on a call takes no time, and makes nothing durable.
  void take_no_time();
  /// From now on a call fails as on a broken disk.
  void break_down();
  /// The next call, or the one that waits, fails as on a broken disk; later ones do not.
  void fail_once();
  /// The disk is as it should be again.
  void go_on();
  void wait_until_asked();

  int sync(int descriptor, long number_of_call);

 private:
  enum class Condition { kSound, kStandsStill, kTakesNoTime, kBroken, kFailsOnce };
  void become(Condition condition);

  std::mutex mutex_;
  std::condition_variable changed_;
  Condition condition_ = Condition::kSound;
  bool is_asked_ = false;
  std::vector<std::filesystem::path> synced_;
};

}  // namespace hasigner::sqlite::test
