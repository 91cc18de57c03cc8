#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hasigner/protection/clock.hpp"
#include "tests/simulation/coverage.hpp"

namespace hasigner::simulation {

/// What the simulation breaks on purpose, to show that it would be noticed.
enum class Sabotage : std::uint8_t {
  kNone,
  kNoFence,                  ///< a record is confirmed whatever token the row carries
  kNoWatermarkCondition,     ///< the store lets every slot pass
  kNewTokenOnRetry,          ///< a claim is repeated under another token
  kReleaseTakenOverRow,      ///< a row taken over from an unfenced peer is released when signing fails
  kLockedIsApplied,          ///< a record on a locked row is answered as applied
  kUnavailableAfterCommit,   ///< a request whose reply is lost is answered as if nothing had been written
  kRestoreWithoutWatermark,  ///< a backup takes the place of the database, and no watermark is set
  kNoJournal,                ///< the store loses commits, and nodes keep no journal
  kDeadHolderSeemsAlive,     ///< a fenced row whose holder has died is waited for, as one of a living node
  kNoGuard,                  ///< the store loses commits, and nodes do not wait for each other
};

struct Settings {
  std::uint64_t seed = 1;
  int nodes = 3;
  int slots = 6;
  int validators = 2;
  bool unfenced_peer = true;       ///< a node of the published package takes part
  bool twin = false;               ///< a second process is started under the first node's id
  bool journal = false;            ///< each node keeps a journal
  bool guard = true;               ///< nodes with journals wait for each other where the history is another one
  double trouble = 0.06;           ///< a request: that it meets one of the faults
  double locked = 0.02;            ///< a duty of a request: that another transaction keeps its row locked
  double crash = 0.25;             ///< a slot: that some node is killed during it
  double stop = 0.3;               ///< a slot: that some node is stopped cleanly and started again
  double pause = 0.25;             ///< a slot: that some node is paused during it
  double outage = 0.15;            ///< a slot: that the store is out for a while
  double another = 0.05;           ///< a slot: that another database answers for a while
  double power_cut = 0.25;         ///< a slot: that the store's server crashes, and claims with it
  double clock_jump = 0.1;         ///< a slot: that the store's clock is set forward or back
  double deletion = 0.3;           ///< a slot: that an operator deletes signed rows of earlier slots
  double pruning = 0.1;            ///< a slot: that an operator prunes the history
  double importing = 0.1;          ///< a slot: that what is exported in it is imported again later
  double restore = 0.05;           ///< a slot: that a backup of it takes the place of the database later
  double failover = 0;             ///< a slot: that a standby takes over which lacks the last commits
  double journal_failure = 0;      ///< a slot: that some node's journal cannot be written for a while
  double far_slot = 0;             ///< a slot: that nodes are asked for a duty of a slot far in the future
  double other_data = 0.3;         ///< a duty: that nodes want to sign different data
  double sign_failure = 0.08;      ///< a call of the sign function: that it fails, blocks or takes too long
  double sign_first = 0.5;         ///< an attempt: that it signs before it claims
  double by_steps = 0.25;          ///< an attempt: that its caller takes the steps on its own
  double reserve = 0.3;            ///< a start of a node: that it holds its claims back
  double unhealthy = 0.2;          ///< a slot: that some node's health check fails for a while
  double drift = 0;                ///< by how much the clocks of nodes run too fast or too slowly
  milliseconds stuck_age{40'000};  ///< the stuck-duty age
  milliseconds attempt_timeout{20'000};
  bool only_lost_replies = false;  ///< the only trouble there is; then every attempt must end at once
  Sabotage sabotage = Sabotage::kNone;
  bool trace = false;  ///< with a violation, report the history of its duty
};

/// What can be switched off, by name, to find the least that a violation needs.
inline constexpr std::pair<std::string_view, double Settings::*> kProbabilities[] = {
    {"trouble", &Settings::trouble},
    {"locked", &Settings::locked},
    {"crash", &Settings::crash},
    {"stop", &Settings::stop},
    {"pause", &Settings::pause},
    {"outage", &Settings::outage},
    {"another", &Settings::another},
    {"power_cut", &Settings::power_cut},
    {"clock_jump", &Settings::clock_jump},
    {"deletion", &Settings::deletion},
    {"pruning", &Settings::pruning},
    {"importing", &Settings::importing},
    {"restore", &Settings::restore},
    {"failover", &Settings::failover},
    {"journal_failure", &Settings::journal_failure},
    {"far_slot", &Settings::far_slot},
    {"other_data", &Settings::other_data},
    {"sign_failure", &Settings::sign_failure},
    {"sign_first", &Settings::sign_first},
    {"by_steps", &Settings::by_steps},
    {"reserve", &Settings::reserve},
    {"unhealthy", &Settings::unhealthy},
    {"drift", &Settings::drift}};

struct Report {
  std::vector<std::string> violations;  ///< empty: everything held
  std::uint64_t attempts = 0;
  std::uint64_t released = 0;
  std::uint64_t duties = 0;
  std::uint64_t signed_duties = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t replacements = 0;
  std::uint64_t lost_locks = 0;
  std::uint64_t lost_claims = 0;
  std::uint64_t in_doubt = 0;
  std::uint64_t confirmed_again = 0;
  std::uint64_t by_steps = 0;
  std::uint64_t carried_out_twice = 0;
  std::uint64_t stops = 0;
  std::uint64_t other_databases = 0;
  std::uint64_t clock_jumps = 0;
  std::uint64_t pruned = 0;
  std::uint64_t imports = 0;
  std::uint64_t restores = 0;
  std::uint64_t held_back = 0;
  std::uint64_t unhealthy = 0;
  std::uint64_t failovers = 0;
  std::uint64_t refused_by_journal = 0;
  std::uint64_t holds = 0;
  std::uint64_t forbidden = 0;             ///< times that slots were given up because of a loss
  std::uint64_t most_steps = 0;            ///< of one attempt
  std::uint64_t dead_holders = 0;          ///< whose duties were asked for with other data while nothing failed
  milliseconds longest_for_dead_holder{};  ///< until such a duty was signed
  Coverage coverage;
  std::uint64_t digest = 0;  ///< of everything that was released, in order: equal runs have equal digests

  void add(const Report& other);
  /// The sums, in a sentence.
  [[nodiscard]] std::string describe() const;
};

/// What is summed up over runs, in the words of a report.
inline constexpr std::pair<std::string_view, std::uint64_t Report::*> kCounts[] = {
    {"attempts", &Report::attempts},
    {"duties", &Report::duties},
    {"duties signed", &Report::signed_duties},
    {"signatures released", &Report::released},
    {"handed out again", &Report::confirmed_again},
    {"attempts by steps", &Report::by_steps},
    {"takeovers", &Report::takeovers},
    {"replacements", &Report::replacements},
    {"lost locks", &Report::lost_locks},
    {"in doubt", &Report::in_doubt},
    {"claims lost with the power", &Report::lost_claims},
    {"requests carried out twice", &Report::carried_out_twice},
    {"clean stops", &Report::stops},
    {"times another database", &Report::other_databases},
    {"clock jumps", &Report::clock_jumps},
    {"rows pruned", &Report::pruned},
    {"imports", &Report::imports},
    {"restored backups", &Report::restores},
    {"held back", &Report::held_back},
    {"refused while unhealthy", &Report::unhealthy},
    {"refused by a journal", &Report::refused_by_journal},
    {"holds of the guard", &Report::holds}};

/// Runs one whole cluster from start to an end without faults, on one thread, from one seed.
[[nodiscard]] Report run(const Settings& settings);

/// Nothing goes wrong but that replies of the store are lost.
[[nodiscard]] Settings lost_replies_only(std::uint64_t seed);

/// Sign functions often fail while an unfenced peer with the same data is at work.
[[nodiscard]] Settings failing_signers_beside_a_peer(std::uint64_t seed);

/// Nodes with journals on a store that loses its last commits.
[[nodiscard]] Settings failovers_that_forget(std::uint64_t seed);

/// Settings drawn from a seed, so that many seeds see many kinds of trouble.
[[nodiscard]] Settings settings_for(std::uint64_t seed);

/// Fewer faults, nodes, slots and validators, as long as the run still has a violation.
[[nodiscard]] Settings shrunk(Settings settings);

}  // namespace hasigner::simulation
