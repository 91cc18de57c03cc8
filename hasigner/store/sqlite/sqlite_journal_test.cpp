#include "hasigner/store/sqlite/sqlite_journal.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hasigner/store/sqlite/connection.hpp"
#include "hasigner/store/sqlite/disk_under_test.hpp"

namespace hasigner::sqlite {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kOpenTimeout{200};

JournalEntry entry_for(std::uint64_t slot, std::uint8_t message, std::uint8_t rollup = 0xaa) {
  JournalEntry entry{.key = {.slot = *Slot::from(slot)}, .message_hash = {}, .signature = Signature()};
  entry.key.rollup.bytes().fill(rollup);
  entry.key.validator.bytes().fill(0xbb);
  entry.message_hash.bytes().fill(message);
  entry.signature->bytes().fill(message);
  return entry;
}

JournalEntry handed_out(std::uint64_t slot, std::uint8_t message) {
  auto entry = entry_for(slot, message);
  entry.signature.reset();
  entry.handed_out = LockToken("token");
  return entry;
}

struct SqliteJournalTest : testing::Test {
  SqliteJournalTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-journal-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    path = (folder / "journal.db").string();
  }
  ~SqliteJournalTest() override { fs::remove_all(folder); }

  std::unique_ptr<SqliteJournal> opened(JournalLimits limits = {}) {
    return std::make_unique<SqliteJournal>(path, io.get_executor(), kOpenTimeout, limits);
  }
  std::string refusal() {
    try {
      (void)opened();
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
  template <class T>
  T value_of(std::shared_ptr<Arrival<T>> arrival) {
    io.restart();
    const auto work = asio::make_work_guard(io);
    while (!arrival->has_come()) io.run_one_for(milliseconds(10));
    return *arrival->take();
  }
  ReleaseJournal::Written written(SqliteJournal& journal, std::vector<JournalEntry> entries) {
    return value_of(journal.append(std::move(entries)));
  }
  std::optional<JournalEntry> found(SqliteJournal& journal, const DutyKey& key) {
    const auto findings = value_of(journal.find({key}));
    EXPECT_TRUE(findings);
    return findings->entries.empty() ? std::nullopt : std::optional(findings->entries.front());
  }

  fs::path folder;
  std::string path;
  asio::io_context io;
};

TEST_F(SqliteJournalTest, what_was_written_is_there_when_it_is_opened_again) {
  auto first = entry_for(5, 1);
  first.key.duty_type = DutyType::kBlockProposal;
  first.key.block_index = 3;
  ASSERT_TRUE(written(*opened(), {first, handed_out(6, 2)}));
  const auto contents = opened()->contents();
  ASSERT_EQ(contents.entries.size(), 2u);
  const auto& [highest, lowest] = std::tie(contents.entries[0], contents.entries[1]);
  EXPECT_EQ(highest.key, handed_out(6, 2).key);
  EXPECT_EQ(highest.message_hash, handed_out(6, 2).message_hash);
  EXPECT_FALSE(highest.signature);
  EXPECT_EQ(highest.handed_out.str(), "token");
  EXPECT_EQ(lowest.key, first.key);
  EXPECT_EQ(lowest.message_hash, first.message_hash);
  EXPECT_EQ(lowest.signature, first.signature);
  EXPECT_TRUE(lowest.handed_out.empty());
  EXPECT_TRUE(contents.unread.empty());
  EXPECT_TRUE(contents.forgotten.empty());
}

TEST_F(SqliteJournalTest, it_remembers_in_which_history_its_node_was_at_work) {
  {
    auto journal = opened();
    EXPECT_EQ(journal->contents().history, "");
    journal->remember_history("one 1");
    journal->remember_history("two 2");
  }
  EXPECT_EQ(opened()->contents().history, "two 2");
}

TEST_F(SqliteJournalTest, a_later_entry_of_the_same_message_adds_what_is_missing) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {handed_out(5, 1)}));
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  const auto entry = found(*journal, entry_for(5, 1).key);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->signature, entry_for(5, 1).signature);
  EXPECT_EQ(entry->handed_out.str(), "token");
}

TEST_F(SqliteJournalTest, a_duty_keeps_its_first_message) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  const auto refused = written(*journal, {entry_for(5, 2)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_NE(refused.error().reason.find("slot 5"), std::string::npos) << refused.error().reason;
  EXPECT_EQ(found(*journal, entry_for(5, 1).key)->message_hash, entry_for(5, 1).message_hash);
  EXPECT_TRUE(written(*journal, {entry_for(6, 2)}));
}

TEST_F(SqliteJournalTest, what_is_taken_back_makes_room_for_another_message) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1), entry_for(6, 1)}));
  journal->withdraw({entry_for(5, 1), entry_for(6, 2)});
  EXPECT_TRUE(written(*journal, {entry_for(5, 2)}));
  EXPECT_TRUE(found(*journal, entry_for(6, 1).key)) << "of another message than was taken back";
}

TEST_F(SqliteJournalTest, an_entry_whose_writing_was_confirmed_outlives_a_kill) {
  int confirmed[2];
  ASSERT_EQ(::pipe(confirmed), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto journal = opened();
    const bool done = written(*journal, {entry_for(5, 1)}).has_value();
    [[maybe_unused]] const auto told = ::write(confirmed[1], done ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 'n';
  ASSERT_EQ(::read(confirmed[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(confirmed[0]);
  ::close(confirmed[1]);
  const auto contents = opened()->contents();
  ASSERT_EQ(contents.entries.size(), 1u);
  EXPECT_FALSE(contents.entries.front().is_settled) << "the kill may have come before its signature left";
}

TEST_F(SqliteJournalTest, an_entry_is_settled_by_later_ones_unless_it_is_left_unsettled) {
  {
    const auto journal = opened();
    ASSERT_TRUE(written(*journal, {entry_for(5, 1), entry_for(6, 1)}));
    journal->leave_unsettled({entry_for(6, 1), entry_for(5, 2)});
  }
  Connection(path).execute("update journal_entries set written_at = written_at - 600 where written_at > 0");
  ASSERT_TRUE(written(*opened(), {entry_for(7, 1)}));
  const auto settled = [](const JournalContents& contents) {
    std::map<std::uint64_t, bool> is_settled;
    for (const auto& entry : contents.entries) is_settled[entry.key.slot.value()] = entry.is_settled;
    return is_settled;
  };
  EXPECT_EQ(settled(opened()->contents()), (std::map<std::uint64_t, bool>{{5, true}, {6, false}, {7, false}}))
      << "slot 5 had another message";
}

TEST_F(SqliteJournalTest, one_process_has_it) {
  const auto journal = opened();
  EXPECT_NE(refusal().find("in use by another process"), std::string::npos);
}

TEST_F(SqliteJournalTest, only_its_user_may_read_the_file) {
  const auto journal = opened();
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(SqliteJournalTest, nothing_is_confirmed_once_another_file_is_in_its_place) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  fs::rename(path, path + ".moved");
  std::ofstream(path).close();
  const auto refused = written(*journal, {entry_for(6, 1)});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().reason.find(path), std::string::npos) << refused.error().reason;
}

TEST_F(SqliteJournalTest, a_file_that_was_moved_away_gets_nothing_more_until_it_is_back) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  fs::rename(path, path + ".moved");
  const auto refused = written(*journal, {entry_for(6, 1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_NE(refused.error().reason.find("is gone"), std::string::npos) << refused.error().reason;
  EXPECT_FALSE(value_of(journal->find({entry_for(5, 1).key}))) << "what it had known may be elsewhere by now";
  fs::rename(path + ".moved", path);
  EXPECT_FALSE(found(*journal, entry_for(6, 1).key));
  EXPECT_TRUE(written(*journal, {entry_for(6, 2)}));
}

TEST_F(SqliteJournalTest, what_is_written_while_the_file_is_moved_away_is_not_confirmed) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.stand_still();
  const auto arrival = journal->append({entry_for(6, 1)});
  disk.wait_until_asked();
  fs::rename(path, path + ".moved");
  disk.go_on();
  const auto refused = value_of(arrival);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().reason.find("is gone"), std::string::npos) << refused.error().reason;
}

/// What stands only in a log without a name is lost at the next kill.
TEST_F(SqliteJournalTest, nothing_is_confirmed_once_its_log_is_gone_or_another) {
  for (const bool is_another : {false, true}) {
    const auto journal = opened();
    ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
    const std::string log = path + "-wal";
    ASSERT_TRUE(fs::remove(log));
    if (is_another) std::ofstream(log).close();
    const auto refused = written(*journal, {entry_for(6, 1)});
    ASSERT_FALSE(refused) << is_another;
    EXPECT_NE(refused.error().reason.find(log), std::string::npos) << refused.error().reason;
  }
}

TEST_F(SqliteJournalTest, the_database_of_another_program_is_not_taken_for_a_journal) {
  std::ofstream(path).close();
  Connection(path).execute("create table other (x)");
  EXPECT_NE(refusal().find("another program"), std::string::npos);
}

TEST_F(SqliteJournalTest, a_damaged_file_is_refused) {
  { ASSERT_TRUE(written(*opened(), {entry_for(5, 1)})); }
  std::ofstream(path, std::ios::in | std::ios::out).seekp(10).write("damaged damaged damaged", 23);
  EXPECT_NE(refusal().find(path), std::string::npos);
}

TEST_F(SqliteJournalTest, a_closed_journal_writes_nothing_and_says_so) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(5, 1)}));
  journal->withdraw({entry_for(5, 1)});
  journal->close();
  EXPECT_FALSE(written(*journal, {entry_for(6, 1)}));
  EXPECT_TRUE(opened()->contents().entries.empty()) << "what was taken back before is written";
}

TEST_F(SqliteJournalTest, nothing_is_confirmed_before_the_disk_has_it_and_what_waits_shares_one_wait) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(1, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.stand_still();
  const auto first = journal->append({entry_for(2, 1)});
  disk.wait_until_asked();
  std::vector<std::shared_ptr<Arrival<ReleaseJournal::Written>>> waiting;
  for (std::uint64_t slot = 3; slot < 50; ++slot) waiting.push_back(journal->append({entry_for(slot, 1)}));
  io.restart();
  io.poll();
  EXPECT_FALSE(first->has_come());
  (void)disk.take_synced();
  disk.go_on();
  EXPECT_TRUE(value_of(first));
  for (const auto& arrival : waiting) EXPECT_TRUE(value_of(arrival));
  EXPECT_LE(disk.take_synced().size(), 3u);
}

TEST_F(SqliteJournalTest, a_broken_disk_is_an_error_and_a_mended_one_goes_on) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(1, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.break_down();
  const auto refused = written(*journal, {entry_for(2, 1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_NE(refused.error().reason.find(path), std::string::npos) << refused.error().reason;
  EXPECT_FALSE(written(*journal, {})) << "a trial";
  journal->withdraw({entry_for(1, 1)});
  EXPECT_FALSE(written(*journal, {entry_for(1, 2)}));
  disk.go_on();
  EXPECT_TRUE(written(*journal, {}));
  EXPECT_TRUE(written(*journal, {entry_for(1, 2)})) << "what was taken back meanwhile is not in the way";
  EXPECT_TRUE(written(*journal, {entry_for(2, 1)}));
}

TEST_F(SqliteJournalTest, what_only_reads_is_answered_though_what_came_with_it_cannot_be_written) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(1, 1), entry_for(2, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.break_down();
  journal->withdraw({entry_for(1, 1)});
  for (int slot = 0; slot < 3; ++slot) {
    journal->remember_history("one " + std::to_string(slot));
    const auto findings = value_of(journal->find({entry_for(1, 1).key, entry_for(2, 1).key}));
    ASSERT_TRUE(findings) << findings.error().reason;
    ASSERT_EQ(findings->entries.size(), 1u) << "what is taken back is not found again before that is written";
    EXPECT_EQ(findings->entries.front().key, entry_for(2, 1).key);
  }
  const auto refused = journal->append({entry_for(3, 1)});
  const auto findings = value_of(journal->find({entry_for(3, 1).key}));
  EXPECT_FALSE(value_of(refused));
  ASSERT_TRUE(findings);
  EXPECT_TRUE(findings->entries.empty()) << "it was not written";
  disk.go_on();
  EXPECT_FALSE(found(*journal, entry_for(1, 1).key));
  EXPECT_TRUE(written(*journal, {entry_for(1, 2)}));
  journal->close();
  EXPECT_EQ(opened()->contents().history, "one 2");
}

TEST_F(SqliteJournalTest, what_a_failed_transaction_leaves_goes_before_what_came_later) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(1, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.stand_still();
  journal->withdraw({entry_for(1, 1)});
  const auto refused = journal->append({entry_for(2, 1)});
  disk.wait_until_asked();
  const auto later = journal->append({entry_for(1, 2)});
  disk.fail_once();
  EXPECT_FALSE(value_of(refused));
  const auto kept = value_of(later);
  EXPECT_TRUE(kept) << kept.error().reason;
  EXPECT_EQ(found(*journal, entry_for(1, 1).key)->message_hash, entry_for(1, 2).message_hash);
  EXPECT_FALSE(found(*journal, entry_for(2, 1).key)) << "refused is refused";
}

TEST_F(SqliteJournalTest, what_a_failed_transaction_leaves_is_written_at_the_close) {
  {
    const auto journal = opened();
    ASSERT_TRUE(written(*journal, {entry_for(1, 1), entry_for(2, 1)}));
    test::DiskUnderTest::instance().fail_once();
    journal->withdraw({entry_for(1, 1)});
    journal->leave_unsettled({entry_for(2, 1)});
    EXPECT_FALSE(written(*journal, {entry_for(3, 1)}));
  }
  Connection(path).execute("update journal_entries set written_at = written_at - 600 where written_at > 0");
  ASSERT_TRUE(written(*opened(), {entry_for(4, 1)}));
  std::map<std::uint64_t, bool> settled;
  for (const auto& entry : opened()->contents().entries) settled[entry.key.slot.value()] = entry.is_settled;
  EXPECT_EQ(settled, (std::map<std::uint64_t, bool>{{2, false}, {4, false}}));
}

TEST_F(SqliteJournalTest, a_disk_that_does_not_answer_keeps_no_process_from_its_end) {
  const auto journal = opened();
  ASSERT_TRUE(written(*journal, {entry_for(1, 1)}));
  auto& disk = test::DiskUnderTest::instance();
  disk.stand_still();
  (void)journal->append({entry_for(2, 1)});
  disk.wait_until_asked();
  const auto began = std::chrono::steady_clock::now();
  journal->close();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(4));
  disk.go_on();
  // Its thread ends by itself.
  std::string refused;
  for (int i = 0; i < 100 && !(refused = refusal()).empty(); ++i) continue;
  EXPECT_EQ(refused, "");
}

TEST_F(SqliteJournalTest, the_highest_slots_are_read_and_the_others_are_looked_up) {
  {
    const auto journal = opened();
    for (const std::uint64_t slot : {1, 3, 2, 5, 4}) ASSERT_TRUE(written(*journal, {entry_for(slot, 1)}));
    ASSERT_TRUE(written(*journal, {entry_for(1, 1, 0xcc)}));
  }
  const auto journal = opened({.read_at_once = 2});
  const auto contents = journal->contents();
  ASSERT_EQ(contents.entries.size(), 3u);
  EXPECT_EQ(contents.unread.size(), 1u);
  EXPECT_EQ(contents.unread.at(entry_for(1, 1).key.rollup).value(), 4u);
  EXPECT_TRUE(found(*journal, entry_for(1, 1).key));
}

TEST_F(SqliteJournalTest, the_lowest_slots_of_a_rollup_are_dropped_and_that_is_remembered) {
  const auto rollup = entry_for(1, 1).key.rollup;
  {
    const auto journal = opened({.entries = 100});
    ASSERT_TRUE(written(*journal, {entry_for(7, 1, 0xcc)}));
    // A slot that is far away neither stays in the way nor takes the others with it.
    ASSERT_TRUE(written(*journal, {entry_for(1'000'000'000, 1)}));
    for (std::uint64_t slot = 1; slot <= 200; ++slot) ASSERT_TRUE(written(*journal, {entry_for(slot, 1)}));
    const auto findings = value_of(journal->find({entry_for(1, 1).key}));
    ASSERT_EQ(findings->forgotten.size(), 1u);
    const auto bound = findings->forgotten.at(rollup).value();
    EXPECT_GE(bound, 89u);
    EXPECT_LE(bound, 101u);
    EXPECT_FALSE(found(*journal, entry_for(bound, 1).key));
    EXPECT_TRUE(found(*journal, entry_for(bound + 1, 1).key));
    EXPECT_TRUE(found(*journal, entry_for(7, 1, 0xcc).key)) << "of another rollup";
  }
  EXPECT_TRUE(opened()->contents().forgotten.contains(rollup));
}

}  // namespace
}  // namespace hasigner::sqlite
