#include "hasigner/service/audit_log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#ifdef __SANITIZE_THREAD__
/// A test forks, and its child starts a thread.
extern "C" const char* __tsan_default_options() {
  return "die_after_fork=0";
}
#endif

namespace hasigner::service {
namespace {

using testing::HasSubstr;
using testing::Not;

class AuditLogTest : public testing::Test {
 protected:
  explicit AuditLogTest(const std::string& parent = testing::TempDir()) {
    std::string name = parent + "ha-signer-audit-XXXXXX";
    folder = ::mkdtemp(name.data());
    file = folder / "audit.jsonl";
  }
  ~AuditLogTest() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<AuditLog> open(AuditLimits limits = {}) {
    const std::vector<LogField> about = {{"node", "node-1"}};
    return std::make_unique<AuditLog>(file, about, log, limits);
  }
  /// What a service leaves that has noted so many actions.
  void write(int actions) {
    const auto audit = open();
    for (int i = 0; i < actions; ++i) audit->note({"act", {{"client", "anna"}, {"number", std::to_string(i)}}});
    audit->end();
  }
  static std::string read(const std::filesystem::path& from) {
    std::ifstream stream(from, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  [[nodiscard]] std::string text() const { return read(file); }
  void put(const std::string& changed) const { std::ofstream(file, std::ios::binary | std::ios::trunc) << changed; }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::istringstream stream(text());
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }
  void put_lines(const std::vector<std::string>& all) const {
    std::string whole;
    for (const auto& line : all) whole += line + "\n";
    put(whole);
  }
  [[nodiscard]] AuditVerdict verdict(const std::optional<AuditHead>& known = std::nullopt) const {
    const std::vector files{file};
    return verify_audit(files, known);
  }
  /// The line of the fault; 0 for the file as a whole. -1: there is none.
  [[nodiscard]] std::int64_t fault(const std::optional<AuditHead>& known = std::nullopt) const {
    const auto found = verdict(known).fault;
    return found ? static_cast<std::int64_t>(found->line) : -1;
  }
  static void wait_until(const std::function<bool()>& holds) {
    const auto give_up_at = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up_at);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::filesystem::path folder, file;
  std::shared_ptr<Log> log = std::make_shared<Log>(STDERR_FILENO, LogFormat::kText);
};

TEST_F(AuditLogTest, an_untouched_log_is_in_order) {
  write(3);
  const auto found = verdict();
  EXPECT_FALSE(found.fault);
  EXPECT_EQ(found.lines, 4u);
  EXPECT_EQ(found.head.sequence, 4u);
  EXPECT_EQ(found.before, AuditHead());
  EXPECT_THAT(lines()[0], HasSubstr(R"("event":"begin","node":"node-1","previous":"0000)"));
  EXPECT_THAT(lines()[2], HasSubstr(R"("event":"act","client":"anna","number":"1","previous":")"));
}

TEST_F(AuditLogTest, every_changed_byte_is_noticed_in_its_line) {
  write(2);
  const auto before = text();
  std::int64_t line = 1;
  for (std::size_t i = 0; i < before.size(); ++i) {
    auto changed = before;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    put(changed);
    ASSERT_EQ(fault(), line) << "byte " << i;
    if (before[i] == '\n') ++line;
  }
}

TEST_F(AuditLogTest, a_changed_line_with_a_new_hash_is_noticed_in_the_next_one) {
  write(3);
  auto all = lines();
  auto other = *read_audit_line(all[0]);
  AuditHead head{1, other.head.hash};
  auto forged = next_audit_line(head, std::chrono::system_clock::now(), "act", {{"client", "mallory"}});
  forged.pop_back();
  all[1] = forged;
  put_lines(all);
  EXPECT_EQ(fault(), 3);
}

TEST_F(AuditLogTest, lines_that_are_missing_doubled_or_in_another_order_are_noticed) {
  write(4);
  const auto all = lines();
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    auto changed = all;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    put_lines(changed);
    // A log may begin with the file that a rotation has left, so the first line of all is missed by its number only.
    if (i == 0) {
      EXPECT_EQ(verdict().before->sequence, 1u);
    } else {
      EXPECT_EQ(fault(), static_cast<std::int64_t>(i) + 1);
    }
    changed = all;
    std::swap(changed[i], changed[i + 1]);
    put_lines(changed);
    EXPECT_EQ(fault(), static_cast<std::int64_t>(i == 0 ? 2 : i + 1));
    changed = all;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
    put_lines(changed);
    EXPECT_EQ(fault(), static_cast<std::int64_t>(i) + 2);
  }
}

TEST_F(AuditLogTest, a_log_that_was_cut_within_a_line_is_noticed) {
  write(1);
  const auto before = text();
  for (std::size_t size = 1; size < before.size(); ++size) {
    put(before.substr(0, size));
    if (before[size - 1] == '\n') continue;
    ASSERT_EQ(fault(), size > before.find('\n') ? 2 : 1) << size;
    ASSERT_THAT(verdict().fault->reason, HasSubstr("has no end"));
  }
}

TEST_F(AuditLogTest, an_empty_file_is_a_fault) {
  put("");
  EXPECT_EQ(fault(), 0);
  EXPECT_THAT(verdict().fault->reason, HasSubstr("is empty"));
  write(1);
  const auto older = folder / "audit.jsonl.1";
  std::filesystem::rename(file, older);
  put("");
  const std::vector both{older, file};
  EXPECT_EQ(verify_audit(both).fault->file, file);
}

TEST_F(AuditLogTest, lines_that_are_missing_at_the_end_are_noticed_by_a_known_head) {
  write(3);
  const auto head = verdict().head;
  EXPECT_EQ(fault(head), -1);
  auto all = lines();
  all.pop_back();
  put_lines(all);
  EXPECT_EQ(fault(), -1);
  EXPECT_EQ(fault(head), 0);
  EXPECT_THAT(verdict(head).fault->reason, HasSubstr("lines are missing at the end"));
  std::filesystem::remove(file);
  write(3);
  EXPECT_EQ(fault(head), 4);
  EXPECT_THAT(verdict(head).fault->reason, HasSubstr("written anew"));
}

TEST_F(AuditLogTest, the_chain_goes_on_after_a_restart) {
  write(2);
  const auto head = verdict().head;
  write(1);
  EXPECT_EQ(fault(head), -1);
  EXPECT_EQ(verdict().lines, 5u);
  EXPECT_THAT(lines()[3], HasSubstr(R"("event":"resume","node":"node-1")"));
}

TEST_F(AuditLogTest, what_a_kill_has_left_of_a_line_is_taken_away_and_told) {
  write(1);
  const auto before = text();
  for (const std::size_t part : {1, 40, 150}) {
    put(before + before.substr(0, part));
    write(0);
    EXPECT_EQ(fault(), -1);
    EXPECT_THAT(lines()[2], HasSubstr(R"("event":"resume","node":"node-1","removedPart":"{)"));
  }
  put(before.substr(0, 20));
  write(0);
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(lines()[0], HasSubstr(R"("event":"begin","node":"node-1","removedPart":"{)"));
}

TEST_F(AuditLogTest, a_process_that_is_killed_leaves_a_log_that_goes_on) {
  for (int round = 0; round < 5; ++round) {
    const auto child = ::fork();
    if (child == 0) {
      const auto audit = open();
      for (int i = 0;; ++i) audit->note({"act", {{"number", std::to_string(i)}}});
    }
    wait_until([this] { return std::filesystem::exists(file) && std::filesystem::file_size(file) > 100'000; });
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    write(1);
    ASSERT_EQ(fault(), -1);
    std::filesystem::remove(file);
  }
}

TEST_F(AuditLogTest, a_log_whose_end_is_of_no_chain_is_set_aside) {
  write(1);
  put(text() + "something else\n");
  write(1);
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(lines()[0], HasSubstr(R"("setAside":")"));
  int aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path() == file) continue;
    EXPECT_THAT(read(entry.path()), HasSubstr("something else"));
    ++aside;
  }
  EXPECT_EQ(aside, 1);
}

TEST_F(AuditLogTest, two_processes_on_one_file_are_refused) {
  auto first = open();
  const auto second = open({.retry = std::chrono::milliseconds(5)});
  EXPECT_THAT(second->status().failure, HasSubstr("is used by another process"));
  second->note({"act", {{"number", "1"}}});
  first->end();
  EXPECT_EQ(verdict().lines, 1u);
  first.reset();
  wait_until([&] { return second->status().head.sequence == 3; });
  second->end();
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(lines()[1], HasSubstr(R"("event":"resume")"));
}

TEST_F(AuditLogTest, a_file_that_others_may_write_is_refused) {
  put("");
  std::filesystem::permissions(file, std::filesystem::perms::group_write, std::filesystem::perm_options::add);
  const auto audit = open();
  EXPECT_THAT(audit->status().failure, HasSubstr("can be written by other users"));
  audit->note({"act", {}});
  audit->end();
  EXPECT_EQ(audit->status().lost, 1u);
  EXPECT_EQ(text(), "");
}

TEST_F(AuditLogTest, a_file_that_cannot_be_opened_is_tried_again_and_no_line_is_lost) {
  file = folder / "later" / "audit.jsonl";
  const auto audit = open({.retry = std::chrono::milliseconds(5)});
  EXPECT_THAT(audit->status().failure, HasSubstr("cannot be opened: No such file or directory"));
  audit->note({"act", {{"number", "1"}}});
  EXPECT_EQ(audit->status().lost, 0u);
  std::filesystem::create_directory(folder / "later");
  wait_until([&] { return audit->status().head.sequence == 2; });
  EXPECT_EQ(audit->status().failure, "");
  audit->end();
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(lines()[0], HasSubstr(R"("event":"begin")"));
  EXPECT_THAT(lines()[1], HasSubstr(R"("number":"1")"));
}

/// While it lives the kernel lets every other open() of the file wait, as a disk that does not answer does.
class HangingDisk {
 public:
  explicit HangingDisk(const std::filesystem::path& file) : descriptor_(::open(file.c_str(), O_RDWR | O_CREAT, 0600)) {
    ::signal(SIGIO, SIG_IGN);  // the kernel's wish to end the lease
    holds_ = ::fcntl(descriptor_, F_SETLEASE, F_WRLCK) == 0;
  }
  ~HangingDisk() { ::close(descriptor_); }
  HangingDisk(const HangingDisk&) = delete;
  HangingDisk& operator=(const HangingDisk&) = delete;
  [[nodiscard]] bool holds() const { return holds_; }

 private:
  int descriptor_;
  bool holds_ = false;
};

/// In memory, where the kernel has leases whatever file system the temporary folder is on.
struct HangingDiskTest : AuditLogTest {
  HangingDiskTest() : AuditLogTest("/dev/shm/") {}
};

TEST_F(HangingDiskTest, a_disk_that_hangs_stops_neither_the_start_nor_the_end) {
  auto disk = std::make_unique<HangingDisk>(file);
  ASSERT_TRUE(disk->holds());
  const auto began = std::chrono::steady_clock::now();
  const auto audit = open({.first_try = std::chrono::milliseconds(10), .last_writes = std::chrono::milliseconds(10)});
  EXPECT_THAT(audit->status().failure, HasSubstr("its disk does not answer"));
  audit->note({"act", {}});
  audit->end();
  EXPECT_EQ(audit->status().lost, 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
  disk.reset();
}

TEST_F(HangingDiskTest, a_disk_that_hangs_later_is_told) {
  const auto audit = open({.hangs_after = std::chrono::milliseconds(10), .last_writes = std::chrono::milliseconds(10)});
  const auto older = folder / "audit.jsonl.1";
  wait_until([&] { return audit->status().head.sequence == 1; });
  std::filesystem::rename(file, older);
  auto disk = std::make_unique<HangingDisk>(file);
  ASSERT_TRUE(disk->holds());
  audit->reopen();
  wait_until([&] { return !audit->status().failure.empty(); });
  EXPECT_THAT(audit->status().failure, HasSubstr("does not answer"));
  disk.reset();
  wait_until([&] { return audit->status().failure.empty(); });
}

TEST_F(AuditLogTest, a_renamed_file_is_followed_by_one_that_goes_on_with_its_chain) {
  const auto older = folder / "audit.jsonl.1";
  const auto audit = open();
  audit->note({"act", {{"number", "1"}}});
  wait_until([&] { return audit->status().head.sequence == 2; });
  std::filesystem::rename(file, older);
  audit->note({"act", {{"number", "2"}}});
  wait_until([&] { return audit->status().head.sequence == 3; });
  audit->reopen();
  audit->note({"act", {{"number", "3"}}});
  audit->end();
  const std::vector both{older, file};
  EXPECT_FALSE(verify_audit(both).fault);
  EXPECT_EQ(verify_audit(both).lines, 5u);
  EXPECT_EQ(fault(), -1);
  EXPECT_EQ(verdict().before->sequence, 3u);
  EXPECT_THAT(read(older), HasSubstr(R"("number":"2")"));
  EXPECT_THAT(lines()[0], HasSubstr(R"("event":"continue")"));
  const std::vector wrong{file, older};
  EXPECT_EQ(verify_audit(wrong).fault->file, older);
}

/// Files of this process cannot grow beyond so many bytes while it lives.
class FullDisk {
 public:
  explicit FullDisk(std::uintmax_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(AuditLogTest, while_the_disk_is_full_lines_wait_and_none_is_lost) {
  const auto audit = open({.retry = std::chrono::milliseconds(5)});
  wait_until([&] { return audit->status().head.sequence == 1; });
  {
    const FullDisk full(std::filesystem::file_size(file) + 30);
    for (int i = 0; i < 10; ++i) audit->note({"act", {{"number", std::to_string(i)}}});
    wait_until([&] { return !audit->status().failure.empty(); });
    EXPECT_EQ(audit->status().lost, 0u);
    EXPECT_EQ(fault(), -1);
  }
  wait_until([&] { return audit->status().head.sequence == 11; });
  EXPECT_EQ(audit->status().failure, "");
  audit->end();
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(text(), Not(HasSubstr("lost")));
}

TEST_F(AuditLogTest, lines_beyond_those_that_may_wait_are_lost_and_counted) {
  const auto audit = open({.waiting = 5, .retry = std::chrono::milliseconds(5)});
  wait_until([&] { return audit->status().head.sequence == 1; });
  {
    const FullDisk full(std::filesystem::file_size(file));
    for (int i = 0; i < 12; ++i) audit->note({"act", {}});
    EXPECT_EQ(audit->status().lost, 7u);
  }
  wait_until([&] { return audit->status().head.sequence >= 6; });
  audit->note({"act", {}});
  audit->end();
  EXPECT_EQ(fault(), -1);
  EXPECT_THAT(text(), HasSubstr(R"("event":"lost","count":"7")"));
}

TEST_F(AuditLogTest, an_end_does_not_wait_for_a_full_disk) {
  const auto audit = open();
  wait_until([&] { return audit->status().head.sequence == 1; });
  const FullDisk full(std::filesystem::file_size(file));
  audit->note({"act", {}});
  audit->end();
  EXPECT_EQ(audit->status().lost, 1u);
}

TEST_F(AuditLogTest, a_duty_has_its_line_with_all_that_was_asked) {
  const auto audit = open();
  const auto signer = EthAddress::parse("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf").value();
  const auto hash = MessageHash::parse("0x" + std::string(64, 'a')).value();
  SigningContext context{.duty_type = DutyType::kBlockProposal, .slot = Slot::from(7).value()};
  context.block_index = 2;
  audit->note({"sign", {{"client", "anna"}}, {{signer, hash, context, "signed"}, {signer, hash, {}, "unavailable"}}});
  audit->end();
  EXPECT_THAT(
      lines()[1],
      HasSubstr(R"("event":"sign","client":"anna","signer":"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",)"
                R"("dutyType":"BLOCK_PROPOSAL","slot":"7","blockIndexWithinCheckpoint":"2","messageHash":"0xaaaa)"));
  EXPECT_THAT(lines()[1], HasSubstr(R"("outcome":"signed","previous")"));
  EXPECT_THAT(
      lines()[2],
      HasSubstr(
          R"("messageHash":"0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","outcome":"unavailable")"));
}

TEST(AuditHead, is_read_as_it_is_written) {
  const AuditHead head{17, std::string(64, 'b')};
  EXPECT_EQ(parse_audit_head(to_string(head), "--head"), head);
  const std::vector<std::string> not_heads = {
      "", "17", "0:" + head.hash, "17:" + head.hash + "0", "x:" + head.hash, ":" + head.hash};
  for (const auto& wrong : not_heads) {
    EXPECT_FALSE(parse_audit_head(wrong, "--head")) << wrong;
  }
}

}  // namespace
}  // namespace hasigner::service
