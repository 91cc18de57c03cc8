#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include "hasigner/protection/attempt/explore.hpp"
#include "tests/simulation/cluster.hpp"

namespace hasigner::simulation {
namespace {

/// Where the seeds begin: HASIGNER_SEED moves it, so that other runs can see other runs.
std::uint64_t first_seed() {
  const char* text = std::getenv("HASIGNER_SEED");
  return text ? std::strtoull(text, nullptr, 10) : 1;
}

/// What an attempt can be told in each state, by the transition table, and was not.
std::set<std::string> not_seen(const Coverage& coverage) {
  Coverage possible;
  attempt::test::explore([&](const attempt::test::Edge& edge) { possible.count(edge.from, edge.event); });
  std::set<std::string> missing;
  for (std::size_t state = 0; state < Coverage::kStates; ++state) {
    for (std::size_t told = 0; told < kTold; ++told) {
      if (possible.counts[state][told] > 0 && coverage.counts[state][told] == 0) {
        missing.insert(Coverage::name_of(state, told));
      }
    }
  }
  return missing;
}

/// Not seen in each run of this length: stop() waits for what is in flight, so it seldom cuts a call off, and a
/// caller's release seldom takes as long as an attempt. No answer of a store is among them.
const std::set<std::string> kRare = {"Backing off, stopped",
                                     "Claiming signed, stopped",
                                     "Claiming signed, time up",
                                     "Confirming stored, stopped",
                                     "Confirming stored, time up",
                                     "Inspecting, stopped",
                                     "Inspecting, time up",
                                     "Looking, time up",
                                     "Queued, stopped",
                                     "Record backing off, stopped",
                                     "Recording, stopped",
                                     "Recording, time up",
                                     "Releasing for caller, stopped",
                                     "Releasing for caller, time up",
                                     "Signing, stopped",
                                     "Taking over, stopped",
                                     "Taking over, time up",
                                     "Waiting, stopped"};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

/// Runs settings_for() of one seed after the other until there were as many attempts.
Report run_many(std::uint64_t attempts) {
  Report sum;
  for (std::uint64_t seed = first_seed(); sum.attempts < attempts && sum.violations.empty(); ++seed) {
    sum.add(run(settings_for(seed)));
  }
  return sum;
}

TEST(Simulation, no_duty_has_two_messages_and_every_duty_is_signed_when_nothing_fails_any_more) {
  const auto sum = run_many(120'000);
  EXPECT_TRUE(sum.violations.empty()) << "replay with: simulate SEED\n" << joined(sum.violations);
  // Each kind of trouble has come, and the paths that matter have been walked, not only the happy one.
  for (const auto& [name, count] : kCounts) EXPECT_GT(sum.*count, 20) << name;
  for (const auto& name : not_seen(sum.coverage)) EXPECT_TRUE(kRare.contains(name)) << name;
  EXPECT_GT(sum.dead_holders, 300);
  RecordProperty("attempts", std::to_string(sum.attempts));
}

TEST(Simulation, a_seed_replays_exactly) {
  for (const std::uint64_t seed : {first_seed(), first_seed() + 17, first_seed() + 35}) {
    const auto once = run(settings_for(seed));
    const auto again = run(settings_for(seed));
    EXPECT_EQ(once.digest, again.digest) << seed;
    EXPECT_EQ(once.attempts, again.attempts) << seed;
    EXPECT_GT(once.released, 0) << seed;
  }
  EXPECT_NE(run(settings_for(first_seed())).digest, run(settings_for(first_seed() + 1)).digest);
}

TEST(Simulation, lost_replies_alone_hold_nothing_up) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 60; ++seed) {
    const auto report = run(lost_replies_only(seed));
    ASSERT_TRUE(report.violations.empty()) << joined(report.violations);
  }
}

TEST(Simulation, failing_signers_beside_an_unfenced_peer_do_no_harm) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 100; ++seed) {
    const auto report = run(failing_signers_beside_a_peer(seed));
    ASSERT_TRUE(report.violations.empty()) << joined(report.violations);
  }
}

TEST(Simulation, no_node_contradicts_its_journal_when_the_store_loses_its_last_commits) {
  Report sum;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 100; ++seed) {
    auto settings = failovers_that_forget(seed);
    settings.guard = false;
    sum.add(run(settings));
    ASSERT_TRUE(sum.violations.empty()) << joined(sum.violations);
  }
  EXPECT_GT(sum.failovers, 50);
  EXPECT_GT(sum.refused_by_journal, 50);
}

TEST(Simulation, no_duty_has_two_messages_when_the_store_loses_its_last_commits) {
  Report sum;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 200; ++seed) {
    sum.add(run(failovers_that_forget(seed)));
    ASSERT_TRUE(sum.violations.empty()) << joined(sum.violations);
  }
  EXPECT_GT(sum.failovers, 100);
  EXPECT_GT(sum.holds, 300);
  EXPECT_GT(sum.forbidden, 20);
}

/// The first violation that the sabotage leads to; an empty text when no seed of the given number has one.
std::string caught(Sabotage sabotage, const std::function<Settings(std::uint64_t)>& settings_of, std::uint64_t seeds) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds; ++seed) {
    auto settings = settings_of(seed);
    settings.sabotage = sabotage;
    const auto report = run(settings);
    if (!report.violations.empty()) return report.violations.front();
  }
  return "";
}

TEST(Simulation, notices_when_the_fence_is_removed) {
  EXPECT_NE(caught(Sabotage::kNoFence, settings_for, 100).find("released"), std::string::npos);
}

TEST(Simulation, notices_when_the_watermark_condition_is_removed) {
  EXPECT_NE(caught(Sabotage::kNoWatermarkCondition, settings_for, 100).find("two messages released"),
            std::string::npos);
}

TEST(Simulation, notices_when_a_retried_claim_gets_a_new_token) {
  EXPECT_NE(caught(Sabotage::kNewTokenOnRetry, lost_replies_only, 20).find("held up"), std::string::npos);
}

TEST(Simulation, notices_when_a_record_on_a_locked_row_counts_as_confirmed) {
  EXPECT_NE(caught(Sabotage::kLockedIsApplied, settings_for, 100).find("released without a record"), std::string::npos);
}

TEST(Simulation, notices_when_unavailable_is_said_after_a_commit) {
  EXPECT_NE(caught(Sabotage::kUnavailableAfterCommit, settings_for, 100).find("that nothing was written"),
            std::string::npos);
}

TEST(Simulation, notices_when_a_backup_is_restored_without_a_watermark) {
  EXPECT_NE(caught(Sabotage::kRestoreWithoutWatermark, settings_for, 300).find("two messages released"),
            std::string::npos);
}

TEST(Simulation, notices_when_the_row_of_a_dead_holder_is_kept_from_other_data_until_it_is_stuck) {
  EXPECT_NE(caught(Sabotage::kDeadHolderSeemsAlive, settings_for, 20).find("other data than that of a dead holder"),
            std::string::npos);
}

TEST(Simulation, notices_when_nodes_keep_no_journal_and_the_store_loses_its_last_commits) {
  EXPECT_NE(caught(Sabotage::kNoJournal, failovers_that_forget, 100).find("two messages released"), std::string::npos);
}

TEST(Simulation, notices_when_nodes_do_not_wait_for_each_other_and_the_store_loses_its_last_commits) {
  EXPECT_NE(caught(Sabotage::kNoGuard, failovers_that_forget, 100).find("two messages released"), std::string::npos);
}

TEST(Simulation, notices_when_a_row_taken_over_from_an_unfenced_peer_is_released) {
  EXPECT_NE(caught(Sabotage::kReleaseTakenOverRow, failing_signers_beside_a_peer, 400).find("two messages released"),
            std::string::npos);
}

}  // namespace
}  // namespace hasigner::simulation
