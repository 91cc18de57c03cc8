#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <set>
#include <sstream>

#include "tests/contract/contract.hpp"
#include "tests/contract/racer.hpp"
#include "tests/support/postgres_server.hpp"

namespace hasigner::contract {
namespace {

/// Who was told that its data is recorded, by duty.
using Confirmations = std::map<std::uint64_t, std::multiset<std::uint8_t>>;

class Race : public Contract {
 protected:
  /// Each duty is signed, and a record was confirmed only to the attempt whose data stands in the row.
  void expect_one_message_a_duty(const Confirmations& confirmations, std::uint64_t duties) {
    std::map<std::uint64_t, DutyEntry> found;
    for (const DutyEntry& row : rows({.limit = 100'000})) found[std::stoull(row.slot)] = row;
    for (std::uint64_t number = 0; number < duties; ++number) {
      ASSERT_TRUE(found.contains(number)) << number;
      EXPECT_EQ(found[number].status, "signed") << number;
      const auto told = confirmations.find(number);
      if (told == confirmations.end()) continue;
      EXPECT_EQ(told->second.size(), 1U) << number;
      EXPECT_EQ(found[number].message_hash, raced_data(*told->second.begin()).to_string()) << number;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, Race, testing::ValuesIn(kinds()), name_of);

TEST_P(Race, many_connections_of_one_process_give_each_duty_to_one_of_them) {
  constexpr std::uint8_t kRacers = 4;
  constexpr std::uint64_t kDuties = 300;
  Confirmations confirmations;
  std::vector<std::future<void>> races;
  std::vector<Connection> connections;
  for (std::uint8_t racer = 1; racer <= kRacers; ++racer) {
    connections.push_back(run(under_test->connect()));
    RaceEntry entry{.connection = connections.back(),
                    .clock = under_test->clock(),
                    .executor = context.get_executor(),
                    .node_id = NodeId::parse("racer-" + std::to_string(racer)).value(),
                    .racer = racer,
                    .duties = kDuties,
                    .confirmed = [&, racer](std::uint64_t number) { confirmations[number].insert(racer); },
                    .stands_still_after = {},
                    .standing_still = {}};
    races.push_back(asio::co_spawn(context, race(std::move(entry)), asio::use_future));
  }
  for (auto& one : races) {
    while (one.wait_for(0s) != std::future_status::ready) {
      context.restart();
      context.run_one_for(10ms);
    }
    EXPECT_NO_THROW(one.get());
  }
  EXPECT_EQ(confirmations.size(), kDuties);
  expect_one_message_a_duty(confirmations, kDuties);
  for (Connection& connection : connections) run(connection.store->close());
}

TEST_P(Race, equal_tokens_never_meet_when_one_process_asks_twice_at_once) {
  Node& a = node();
  const LockToken mine = token(a);
  // The same claim again while the first is under way, as after a reply that seemed lost.
  auto first = asio::co_spawn(context, a.connection.store->claim(a.id, {{duty(5), mine}}, soon()), asio::use_future);
  auto second = asio::co_spawn(context, a.connection.store->claim(a.id, {{duty(5), mine}}, soon()), asio::use_future);
  while (first.wait_for(0s) != std::future_status::ready || second.wait_for(0s) != std::future_status::ready) {
    context.restart();
    context.run_one_for(10ms);
  }
  for (auto* claim : {&first, &second}) {
    const auto reply = claim->get();
    ASSERT_TRUE(reply);
    ASSERT_TRUE((*reply)[0].view.row);
    EXPECT_EQ((*reply)[0].view.row->lock_token, mine);
  }
  EXPECT_EQ(rows().size(), 1U);
}

/// The kinds whose tables several processes can share.
std::vector<Kind> kinds_for_processes() {
  auto all = kinds();
  std::erase_if(all, [](const Kind& kind) { return kind.name == "memory"; });
  return all;
}

/// A racer in a process of its own.
class RacerProcess {
 public:
  RacerProcess(const std::string& url, std::uint8_t racer, std::uint64_t duties,
               std::optional<std::uint64_t> still_after = {})
      : racer_(racer) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    output_ = ends[0];
    std::vector<std::string> arguments = {HASIGNER_CONTRACT_RACER, url, std::to_string(racer), std::to_string(duties)};
    if (still_after) arguments.push_back(std::to_string(*still_after));
    std::vector<char*> values;
    for (std::string& argument : arguments) values.push_back(argument.data());
    values.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int failed = ::posix_spawn(&process_, values[0], &actions, nullptr, values.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (failed != 0) throw std::runtime_error("cannot start the racer");
  }
  ~RacerProcess() {
    if (process_ > 0) {
      send(SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    ::close(output_);
  }
  RacerProcess(const RacerProcess&) = delete;
  RacerProcess& operator=(const RacerProcess&) = delete;

  void send(int signal) const { ::kill(process_, signal); }
  /// Reads until the racer stands still; false: it ended before.
  [[nodiscard]] bool wait_until_still() {
    while (text_.find("still\n") == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }
  /// Reads to the end of its output. Gives its exit code, or minus the signal that ended it.
  int wait() {
    while (read_some()) continue;
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void add_to(Confirmations& confirmations) const {
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line != "still") confirmations[std::stoull(line)].insert(racer_);
    }
  }

 private:
  bool read_some() {
    struct pollfd one {
      output_, POLLIN, 0
    };
    if (::poll(&one, 1, 90'000) <= 0) throw std::runtime_error("the racer says nothing");
    char buffer[4096];
    const auto size = ::read(output_, buffer, sizeof(buffer));
    if (size <= 0) return false;
    text_.append(buffer, static_cast<std::size_t>(size));
    return true;
  }

  std::uint8_t racer_;
  pid_t process_ = 0;
  int output_ = -1;
  std::string text_;
};

class ProcessRace : public Race {};
INSTANTIATE_TEST_SUITE_P(Stores, ProcessRace, testing::ValuesIn(kinds_for_processes()), name_of);

TEST_P(ProcessRace, processes_give_each_duty_to_one_of_them_though_one_is_killed_while_it_holds_some) {
  constexpr std::uint64_t kDuties = 600;
  RacerProcess victim(*under_test->url(), 1, kDuties, 40);
  std::vector<std::unique_ptr<RacerProcess>> others;
  for (std::uint8_t racer = 2; racer <= 4; ++racer) {
    others.push_back(std::make_unique<RacerProcess>(*under_test->url(), racer, kDuties));
  }
  const bool held_some = victim.wait_until_still();
  victim.send(SIGKILL);
  EXPECT_EQ(victim.wait(), held_some ? -SIGKILL : 0);
  Confirmations confirmations;
  victim.add_to(confirmations);
  for (const auto& racer : others) {
    EXPECT_EQ(racer->wait(), 0);
    racer->add_to(confirmations);
  }
  expect_one_message_a_duty(confirmations, kDuties);
}

TEST_P(ProcessRace, a_process_that_is_killed_at_any_moment_leaves_nothing_that_is_not_signed_in_the_end) {
  constexpr std::uint64_t kDuties = 300;
  Confirmations confirmations;
  // Without waiting for anything in particular: wherever it happens to be.
  for (std::uint8_t round = 0; round < 5; ++round) {
    RacerProcess victim(*under_test->url(), static_cast<std::uint8_t>(10 + round), kDuties, round * 10U);
    [[maybe_unused]] const bool still = victim.wait_until_still();
    victim.send(SIGKILL);
    victim.wait();
    victim.add_to(confirmations);
  }
  RacerProcess last(*under_test->url(), 2, kDuties);
  EXPECT_EQ(last.wait(), 0);
  last.add_to(confirmations);
  expect_one_message_a_duty(confirmations, kDuties);
}

TEST_P(ProcessRace, a_process_that_was_stopped_goes_on_and_is_told_of_nothing_that_others_signed_since) {
  constexpr std::uint64_t kDuties = 200;
  RacerProcess sleeper(*under_test->url(), 1, kDuties, 0);
  ASSERT_TRUE(sleeper.wait_until_still());
  sleeper.send(SIGSTOP);
  RacerProcess other(*under_test->url(), 2, kDuties);
  if (under_test->url()->starts_with("sqlite:")) {
    // A stopped process keeps its kernel lock, so its rows, and nothing else, wait for it.
    ASSERT_TRUE(test::eventually([&] {
      const auto all = rows({.limit = 100'000});
      const auto is_settled = [](const DutyEntry& row) { return row.status == "signed" || row.node_id == "racer-1"; };
      return all.size() == kDuties && std::ranges::all_of(all, is_settled);
    }));
    sleeper.send(SIGCONT);
  }
  EXPECT_EQ(other.wait(), 0);
  sleeper.send(SIGCONT);
  EXPECT_EQ(sleeper.wait(), 0);
  Confirmations confirmations;
  sleeper.add_to(confirmations);
  other.add_to(confirmations);
  expect_one_message_a_duty(confirmations, kDuties);
}

}  // namespace
}  // namespace hasigner::contract
