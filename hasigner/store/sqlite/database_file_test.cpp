#include "hasigner/store/sqlite/database_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <barrier>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "hasigner/store/sqlite/disk_under_test.hpp"

namespace hasigner::sqlite {
namespace {

namespace fs = std::filesystem;

struct DatabaseFileTest : testing::Test {
  DatabaseFileTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-file-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~DatabaseFileTest() override { fs::remove_all(folder); }

  /// The sentence with which a path is refused.
  static std::string refusal(const std::string& path) {
    const auto file = DatabaseFile::locate(path);
    return file ? "accepted" : file.error();
  }
  static mode_t mode_of(const fs::path& path) {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 07777U : 0;
  }
  static bool says(const std::string& sentence, std::string_view part) {
    return sentence.find(part) != std::string::npos;
  }

  fs::path folder;
};

TEST_F(DatabaseFileTest, makes_a_new_file_that_only_this_user_may_read_and_write) {
  const auto file = DatabaseFile::locate((folder / "new.db").string());
  ASSERT_TRUE(file) << file.error();
  struct stat found {};
  ASSERT_EQ(::stat(file->path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1) << "a draft was left";
}

TEST_F(DatabaseFileTest, a_look_says_what_the_making_would_fail_of_and_makes_nothing) {
  const auto look_at = [](const fs::path& path) -> std::string {
    const auto file = DatabaseFile::look(path.string());
    return file ? "can be made" : file.error();
  };
  EXPECT_EQ(look_at(folder / "new.db"), "can be made");
  EXPECT_EQ(look_at(folder / "made" / "with" / "it" / "new.db"), "can be made");
  fs::create_symlink(folder / "nowhere", folder / "link.db");
  EXPECT_TRUE(says(look_at(folder / "link.db"), "symbolic link to a file that is not there"));
  fs::permissions(folder, fs::perms(01777));
  EXPECT_TRUE(says(look_at(folder / "new.db"), "other users can write in"));
  EXPECT_EQ(look_at(folder / "made" / "new.db"), "can be made") << "in a folder of its own";
  fs::permissions(folder, fs::perms(0700));
  EXPECT_FALSE(fs::exists(folder / "new.db") || fs::exists(folder / "made"));
  fs::permissions(folder, fs::perms(0500));
  // Root may write everywhere.
  if (::geteuid() != 0) {
    EXPECT_TRUE(says(look_at(folder / "new.db"), "Give this user the right to write in"));
  }
}

TEST_F(DatabaseFileTest, makes_the_name_of_a_new_file_durable) {
  auto& disk = test::DiskUnderTest::instance();
  (void)disk.take_synced();
  ASSERT_TRUE(DatabaseFile::locate((folder / "new.db").string()));
  EXPECT_EQ(disk.take_synced(), std::vector{fs::canonical(folder)});
  disk.break_down();
  const auto refused = refusal((folder / "other.db").string());
  disk.go_on();
  EXPECT_TRUE(says(refused, "durable")) << refused;
}

TEST_F(DatabaseFileTest, takes_the_right_to_write_from_others_where_the_file_and_the_folder_are_ours) {
  const auto path = folder / "open.db";
  for (const char* suffix : {"", "-wal", "-shm", "-nodes"}) std::ofstream(path.string() + suffix).put(' ');
  // 0660 and 02775: what Kubernetes makes of a volume with fsGroup at each start.
  for (const mode_t mode : {0660U, 0602U, 0666U, 0644U}) {
    for (const char* suffix : {"", "-wal", "-shm", "-nodes"}) {
      ASSERT_EQ(::chmod((path.string() + suffix).c_str(), mode), 0);
    }
    EXPECT_EQ(refusal(path.string()), "accepted");
    for (const char* suffix : {"", "-wal", "-shm", "-nodes"}) {
      EXPECT_EQ(mode_of(path.string() + suffix), mode & ~022U) << "reading is not writing";
    }
  }
  for (const mode_t mode : {02775U, 0770U, 0707U, 0755U}) {
    for (const auto& name : {path, folder / "new.db"}) {
      ASSERT_EQ(::chmod(folder.c_str(), mode), 0);
      EXPECT_EQ(refusal(name.string()), "accepted");
      EXPECT_EQ(mode_of(folder), mode & ~022U);
    }
  }
  EXPECT_EQ(mode_of(folder / "new.db"), 0600U);
}

TEST_F(DatabaseFileTest, refuses_a_folder_that_is_shared_on_purpose) {
  ASSERT_EQ(::chmod(folder.c_str(), 01777), 0);
  const auto sentence = refusal((folder / "new.db").string());
  EXPECT_TRUE(says(sentence, "other users can write in \"" + folder.string() + "\" (mode 1777)")) << sentence;
  EXPECT_TRUE(says(sentence, "a folder of its own, such as \"" + folder.string() + "/ha-signer\"")) << sentence;
  EXPECT_FALSE(fs::exists(folder / "new.db")) << "it was made before it was refused";
  EXPECT_EQ(mode_of(folder), 01777U);
}

TEST_F(DatabaseFileTest, refuses_what_others_can_write_and_this_user_cannot_change) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  constexpr uid_t kOther = 65'534;
  const auto path = folder / "open.db";
  std::ofstream(path).put(' ');
  ASSERT_EQ(::chmod(path.c_str(), 0660), 0);
  ASSERT_EQ(::chown(path.c_str(), kOther, static_cast<gid_t>(-1)), 0);
  auto sentence = refusal(path.string());
  EXPECT_TRUE(says(sentence, "other users can write \"" + path.string() + "\" (mode 0660)")) << sentence;
  EXPECT_TRUE(says(sentence, "chmod go-w '" + path.string() + "'")) << sentence;
  // The root of a volume belongs to root, whatever user the container has.
  ASSERT_EQ(::chmod(folder.c_str(), 02770), 0);
  ASSERT_EQ(::chown(folder.c_str(), kOther, static_cast<gid_t>(-1)), 0);
  sentence = refusal(path.string());
  EXPECT_TRUE(says(sentence, "other users can write in \"" + folder.string() + "\" (mode 2770)")) << sentence;
  EXPECT_TRUE(says(sentence, "chmod go-w '" + folder.string() + "'")) << sentence;
}

TEST_F(DatabaseFileTest, refuses_a_log_that_leads_elsewhere) {
  const auto path = folder / "a.db";
  std::ofstream(path).close();
  std::ofstream(folder / "elsewhere").close();
  fs::create_symlink(folder / "elsewhere", path.string() + "-wal");
  EXPECT_TRUE(says(refusal(path.string()), "a.db-wal\" is not an ordinary file"));
}

TEST_F(DatabaseFileTest, openers_that_race_for_a_new_file_all_find_the_same_one) {
  constexpr int kOpeners = 4;
  constexpr int kRounds = 300;
  std::barrier together(kOpeners);
  std::array<std::vector<std::string>, kOpeners> refusals;
  std::vector<std::jthread> openers;
  for (auto& refused : refusals) {
    openers.emplace_back([&refused, &together, this] {
      for (int round = 0; round < kRounds; ++round) {
        together.arrive_and_wait();
        const auto file = DatabaseFile::locate((folder / std::to_string(round)).string());
        if (!file) refused.push_back(file.error());
      }
    });
  }
  openers.clear();
  for (const auto& refused : refusals) EXPECT_TRUE(refused.empty()) << refused.front();
}

TEST_F(DatabaseFileTest, follows_a_symbolic_link_to_the_file) {
  std::ofstream(folder / "real.db").close();
  fs::create_symlink(folder / "real.db", folder / "link.db");
  const auto file = DatabaseFile::locate((folder / "link.db").string());
  ASSERT_TRUE(file) << file.error();
  EXPECT_EQ(file->path(), fs::canonical(folder / "real.db").string());
}

TEST_F(DatabaseFileTest, refuses_what_cannot_be_a_database_and_says_what_to_do) {
  EXPECT_TRUE(says(refusal(""), "write sqlite:PATH"));
  EXPECT_TRUE(says(refusal(":memory:"), "name a file"));
  EXPECT_TRUE(says(refusal(folder.string()), "is a folder"));
  const std::string missing = (folder / "missing" / "a.db").string();
  EXPECT_TRUE(says(refusal(missing), "make it first"));
  EXPECT_TRUE(says(refusal(missing), missing));
  fs::create_symlink(folder / "nowhere.db", folder / "dangling.db");
  EXPECT_TRUE(says(refusal((folder / "dangling.db").string()), "symbolic link"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(says(refusal((folder / "pipe").string()), "not an ordinary file"));
}

TEST_F(DatabaseFileTest, refuses_a_file_that_this_user_may_not_write) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everything";
  std::ofstream(folder / "a.db").close();
  fs::permissions(folder / "a.db", fs::perms::owner_read);
  EXPECT_TRUE(says(refusal((folder / "a.db").string()), "may not read and write"));
}

TEST_F(DatabaseFileTest, notices_that_another_file_has_taken_its_place) {
  const auto path = folder / "a.db";
  const auto file = DatabaseFile::locate(path.string());
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->changed());
  std::ofstream(folder / "restored.db").close();
  fs::rename(folder / "restored.db", path);
  EXPECT_TRUE(says(file->changed().value_or(""), "another file"));
  fs::remove(path);
  EXPECT_TRUE(says(file->changed().value_or(""), "is gone"));
}

TEST_F(DatabaseFileTest, notices_that_a_symbolic_link_was_turned_elsewhere) {
  std::ofstream(folder / "one.db").close();
  std::ofstream(folder / "two.db").close();
  fs::create_symlink(folder / "one.db", folder / "link.db");
  const auto file = DatabaseFile::locate((folder / "link.db").string());
  ASSERT_TRUE(file);
  fs::remove(folder / "link.db");
  fs::create_symlink(folder / "two.db", folder / "link.db");
  EXPECT_TRUE(file->changed());
}

}  // namespace
}  // namespace hasigner::sqlite
