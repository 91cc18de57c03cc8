#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hasigner::simulation {

/// What the simulation breaks on purpose, to show that it would be noticed.
enum class Sabotage : std::uint8_t {
  kNone,
  kNoFence,               ///< a record is confirmed whatever token the row carries
  kNoWatermarkCondition,  ///< the store lets every slot pass
  kNewTokenOnRetry,       ///< a claim is repeated under another token
  kReleaseTakenOverRow,   ///< a row taken over from an unfenced peer is released when signing fails
};

struct Settings {
  std::uint64_t seed = 1;
  int nodes = 3;
  int slots = 6;
  int validators = 2;
  bool unfenced_peer = true;       ///< a node of the published package takes part
  bool twin = false;               ///< a second process is started under the first node's id
  double trouble = 0.06;           ///< how often a request meets one of the faults
  double crash = 0.25;             ///< a slot: that some node is killed during it
  double pause = 0.25;             ///< a slot: that some node is paused during it
  double outage = 0.15;            ///< a slot: that the store is out for a while
  double power_cut = 0.25;         ///< a slot: that the store's server crashes, and claims with it
  double deletion = 0.3;           ///< a slot: that an operator deletes signed rows of earlier slots
  double other_data = 0.3;         ///< a duty: that nodes want to sign different data
  double sign_failure = 0.08;      ///< a call of the sign function: that it fails or takes too long
  double sign_first = 0.5;         ///< an attempt: that it signs before it claims
  bool only_lost_replies = false;  ///< the only trouble there is; then every attempt must end at once
  Sabotage sabotage = Sabotage::kNone;
  bool trace = false;  ///< with a violation, report the history of its duty
};

struct Report {
  std::vector<std::string> violations;  ///< empty: everything held
  std::uint64_t attempts = 0;
  std::uint64_t released = 0;
  std::uint64_t duties = 0;
  std::uint64_t signed_duties = 0;
  std::uint64_t take_overs = 0;
  std::uint64_t replacements = 0;
  std::uint64_t lost_locks = 0;
  std::uint64_t lost_claims = 0;
  std::uint64_t in_doubt = 0;
  std::uint64_t confirmed_again = 0;
  std::uint64_t digest = 0;  ///< of everything that was released, in order: equal runs have equal digests
};

/// Runs one whole cluster from start to a kind end, on one thread, from one seed.
[[nodiscard]] Report run(const Settings& settings);

/// Nothing goes wrong but that replies of the store are lost.
[[nodiscard]] Settings lost_replies_only(std::uint64_t seed);

/// Sign functions often fail while an unfenced peer with the same data is at work.
[[nodiscard]] Settings failing_signers_beside_a_peer(std::uint64_t seed);

/// Settings drawn from a seed, so that many seeds see many kinds of trouble.
[[nodiscard]] Settings settings_for(std::uint64_t seed);

}  // namespace hasigner::simulation
