#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "examples/demo/duties.hpp"
#include "examples/demo/wire.hpp"
#include "hasigner/protection/history.hpp"

namespace hasigner::demo {

using TimePoint = std::chrono::steady_clock::time_point;

/// Durations, and their percentiles.
class Latencies {
 public:
  void add(std::chrono::microseconds took) { sorted_ = false, values_.push_back(took); }
  /// The smallest value that at least this share of all values do not exceed (nearest rank).
  [[nodiscard]] std::chrono::microseconds percentile(double share) const;
  [[nodiscard]] std::size_t count() const { return values_.size(); }

 private:
  mutable std::vector<std::chrono::microseconds> values_;
  mutable bool sorted_ = true;
};

/// What one node did, in all its lives.
struct NodeCount {
  std::size_t signatures = 0;
  std::size_t taken_over = 0;
  std::size_t replaced = 0;
  std::size_t already_signed = 0;
  std::size_t other_data = 0;
  std::size_t still_held = 0;                 ///< refused for the time being: another node held the duty
  std::map<std::string, std::size_t> failed;  ///< attempts that ended otherwise, by kind
};

/// How the duties went on that the killed node held.
struct Rescue {
  TimePoint killed_at{};
  std::set<std::size_t> held;
  Latencies same_data;  ///< from the kill to another node's signature
  Latencies other_data;
  std::optional<TimePoint> restarted_at;
  std::optional<std::chrono::microseconds> first_signature_after_restart;
};

/// What the checks found. All of them must be as they are here by default.
struct Verdict {
  std::size_t missed = 0;            ///< duties without any signature
  std::size_t two_messages = 0;      ///< duties of which two messages were signed
  std::size_t wrong_signatures = 0;  ///< not by the validator's key, or not of the node's message
  std::size_t gave_up = 0;           ///< a node stopped trying for a reason that it should not have had
  std::size_t table_disagrees = 0;   ///< duties whose row says something else than the nodes
  std::size_t still_signing = 0;     ///< rows that no node finished
  std::size_t recovered = 0;         ///< signatures whose key was recovered, for the report

  [[nodiscard]] bool good() const {
    return missed + two_messages + wrong_signatures + gave_up + table_disagrees + still_signing == 0;
  }
};

/// Collects what the nodes report, and judges it. No process, no clock, no terminal.
class Tally {
 public:
  static constexpr std::size_t kNodes = 3;

  /// In some slots a node is killed or hangs; their times are told apart from those of ordinary slots.
  Tally(Duties duties, std::set<std::size_t> special_slots);

  /// `author` is the node in its present life, `index` the node.
  void take(std::size_t index, const std::string& author, const NodeEvent& event, TimePoint now);
  void slot_begins(std::size_t slot_index, TimePoint now);
  void killed(std::size_t index, TimePoint now);
  void restarted(TimePoint now) { rescue_.restarted_at = now; }

  [[nodiscard]] const Duties& duties() const { return duties_; }
  /// The duties of which the node's sign function was called and has not come to an end.
  [[nodiscard]] std::set<std::size_t> held_by(std::size_t index) const;
  /// The node that signed the duty first, as far as is known.
  [[nodiscard]] std::optional<std::size_t> signer_of(std::size_t duty) const;
  [[nodiscard]] bool all_signed(const std::set<std::size_t>& duties) const;
  /// From the slot's begin to its last signature.
  [[nodiscard]] std::chrono::microseconds time_of_slot(std::size_t slot_index) const;

  [[nodiscard]] const std::array<NodeCount, kNodes>& counts() const { return counts_; }
  /// Of duties that no dead or hanging node held up: from the node's call to its signature, or to the refusal.
  [[nodiscard]] const Latencies& signed_latencies() const { return signed_latencies_; }
  [[nodiscard]] const Latencies& refused_latencies() const { return refused_latencies_; }
  [[nodiscard]] const Rescue& rescue() const { return rescue_; }
  [[nodiscard]] std::size_t killed_node() const { return killed_node_; }

  /// Compares everything that was released with the keys, the messages and, if given, the table.
  [[nodiscard]] Verdict judge(const std::optional<std::vector<DutyEntry>>& table) const;

 private:
  /// A signature that a node let out.
  struct Release {
    std::size_t index;
    std::string author;
    MessageHash message;
    Signature signature;
  };
  struct Progress {
    std::vector<Release> releases;
    std::optional<std::size_t> signer;
    std::set<std::size_t> holders;
    TimePoint signed_at{};
  };

  [[nodiscard]] bool is_ordinary(std::size_t duty) const {
    return !special_slots_.contains(duties_.slot_index_of(duty));
  }
  void take_signature(std::size_t index, const std::string& author, const NodeEvent& event, TimePoint now);
  void take_rescue(std::size_t index, std::size_t duty, TimePoint now);
  [[nodiscard]] bool correct(const Release& release, std::size_t duty) const;
  void judge_table(const std::vector<DutyEntry>& table, Verdict& verdict) const;

  Duties duties_;
  std::set<std::size_t> special_slots_;
  std::vector<Progress> progress_;
  std::vector<TimePoint> slot_begun_;
  std::array<NodeCount, kNodes> counts_;
  Latencies signed_latencies_;
  Latencies refused_latencies_;
  Rescue rescue_;
  std::size_t killed_node_ = kNodes;
  std::size_t gave_up_ = 0;
};

}  // namespace hasigner::demo
