#include "hasigner/store/sqlite/node_locks.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

namespace hasigner::sqlite {
namespace {

struct NodeLocksTest : testing::Test {
  NodeLocksTest() {
    std::string name = (std::filesystem::temp_directory_path() / "hasigner-locks-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~NodeLocksTest() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<NodeLocks> open() const { return NodeLocks::open((folder / "db-nodes").string()).value(); }

  std::filesystem::path folder;
};

TEST_F(NodeLocksTest, two_objects_of_one_process_are_told_apart) {
  const auto one = open(), other = open();
  EXPECT_FALSE(other->is_held(7));
  EXPECT_TRUE(one->take(7));
  EXPECT_TRUE(one->is_held(7));
  EXPECT_TRUE(other->is_held(7));
  EXPECT_FALSE(other->take(7));
  EXPECT_TRUE(other->take(8));
  one->release(7);
  EXPECT_FALSE(other->is_held(7));
  EXPECT_TRUE(other->take(7));
}

TEST_F(NodeLocksTest, another_descriptor_that_is_closed_drops_no_lock) {
  const auto one = open();
  EXPECT_TRUE(one->take(7));
  { const auto passer_by = open(); }
  EXPECT_TRUE(open()->is_held(7));
}

TEST_F(NodeLocksTest, the_lock_of_a_killed_process_is_gone_at_once) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto locks = open();
    const char byte = locks->take(7) ? 'y' : 'n';
    [[maybe_unused]] const auto written = ::write(ready[1], &byte, 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const auto locks = open();
  EXPECT_TRUE(locks->is_held(7));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(locks->is_held(7));
  ::close(ready[0]);
  ::close(ready[1]);
}

/// A process of the test's own, which is killed at the end.
struct Child {
  explicit Child(pid_t pid_in) : pid(pid_in) {}
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  void end() {
    if (pid > 0) ::kill(pid, SIGKILL);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    pid = 0;
  }
  pid_t pid;
};

TEST_F(NodeLocksTest, a_forked_child_keeps_no_lock_of_its_parent_and_takes_none_from_it) {
  int from_child[2];
  int to_child[2];
  ASSERT_EQ(::pipe(from_child), 0);
  ASSERT_EQ(::pipe(to_child), 0);
  auto locks = open();
  ASSERT_TRUE(locks->take(7));
  Child child(::fork());
  if (child.pid == 0) {
    const char byte = !locks->take(8) && locks->is_held(9) ? 'y' : 'n';  // what cannot be asked counts as held
    locks.reset();
    [[maybe_unused]] const auto written = ::write(from_child[1], &byte, 1);
    char end = 0;
    [[maybe_unused]] const auto read = ::read(to_child[0], &end, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(from_child[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_TRUE(open()->is_held(7)) << "the child's destructor must not unlock what its parent holds";
  for (const int end : {from_child[0], from_child[1], to_child[0], to_child[1]}) ::close(end);
}

TEST_F(NodeLocksTest, a_forked_child_that_outlives_its_parent_keeps_no_lock_alive) {
  int from_child[2];
  ASSERT_EQ(::pipe(from_child), 0);
  Child parent(::fork());
  if (parent.pid == 0) {
    const auto locks = open();
    const bool taken = locks->take(7);
    const bool is_grandchild = ::fork() == 0;
    // Told by the grandchild itself, so that its fork() has ended when its parent is killed.
    const pid_t told = taken ? ::getpid() : 0;
    if (is_grandchild) [[maybe_unused]]
      const auto written = ::write(from_child[1], &told, sizeof(told));
    for (;;) ::pause();
  }
  pid_t grandchild = 0;
  ASSERT_EQ(::read(from_child[0], &grandchild, sizeof(grandchild)), static_cast<ssize_t>(sizeof(grandchild)));
  ASSERT_GT(grandchild, 0);
  const auto locks = open();
  EXPECT_TRUE(locks->is_held(7));
  parent.end();
  EXPECT_EQ(::kill(grandchild, 0), 0) << "it must still live, or nothing is shown";
  EXPECT_FALSE(locks->is_held(7));
  ::kill(grandchild, SIGKILL);
  ::close(from_child[0]);
  ::close(from_child[1]);
}

TEST_F(NodeLocksTest, waiting_is_seen_by_others_only) {
  const auto one = open(), other = open(), third = open();
  EXPECT_FALSE(one->others_wait());
  one->announce_waiting();
  third->announce_waiting();
  EXPECT_TRUE(other->others_wait());
  EXPECT_TRUE(one->others_wait());
  third->stop_waiting();
  EXPECT_FALSE(one->others_wait());
  one->stop_waiting();
  EXPECT_FALSE(other->others_wait());
}

/// Then no living node is taken for dead.
TEST_F(NodeLocksTest, a_lock_that_cannot_be_asked_about_counts_as_held) {
  const auto locks = open();
  EXPECT_FALSE(locks->is_held(7));
  const int nothing = ::open(folder.c_str(), O_PATH | O_CLOEXEC);  // answers no question about locks
  ASSERT_GE(nothing, 0);
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ended;
    if (std::filesystem::read_symlink(entry.path(), ended) != std::filesystem::canonical(folder / "db-nodes")) continue;
    ASSERT_GE(::dup2(nothing, std::stoi(entry.path().filename())), 0);
  }
  ::close(nothing);
  EXPECT_TRUE(locks->is_held(7));
}

TEST_F(NodeLocksTest, only_this_user_may_read_and_write_the_file_and_its_replacement_is_noticed) {
  const auto locks = open();
  const auto path = folder / "db-nodes";
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  EXPECT_FALSE(locks->changed());
  std::filesystem::remove(path);
  EXPECT_TRUE(locks->changed());
}

}  // namespace
}  // namespace hasigner::sqlite
