#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "hasigner/store/memory/memory_tables.hpp"
#include "tests/simulation/cluster.hpp"
#include "tests/simulation/sim_time.hpp"

namespace hasigner::simulation {

[[nodiscard]] EthAddress address_of(std::uint8_t group, std::uint8_t number);
/// The rollup of all simulated duties.
[[nodiscard]] EthAddress rollup();
/// A signature that shows what it signs, and which call of a sign function made it.
[[nodiscard]] Signature signature_of(const MessageHash& hash, std::uint64_t call = 0);
[[nodiscard]] MessageHash signed_by(const Signature& signature);
[[nodiscard]] std::uint64_t call_of(const Signature& signature);

/// What all nodes share: time, chance, the store's tables, and the checks of what must hold after every step.
class SharedState {
 public:
  explicit SharedState(const Settings& settings_in);

  SimTime time;
  Chance chance;
  Settings settings;
  StoreClock tables_clock{time};
  std::optional<memory::MemoryTables> tables{std::in_place, tables_clock};
  Report report;
  bool is_calm = false;                     ///< nothing goes wrong any more
  MonotonicTime outage_until{};             ///< the store is not reached
  MonotonicTime another_until{};            ///< another database answers in its place
  std::shared_ptr<const StoreEpoch> epoch;  ///< null: the server tells none
  MonotonicTime rounds_silent_until{};      ///< what nodes tell each other is not answered
  milliseconds forbidding_takes{};          ///< in which the tables are as they were
  std::size_t forbids = 0;                  ///< how often slots were asked to be forbidden
  bool has_rounds = true;                   ///< the tables have a place for what nodes tell each other
  std::uint64_t server_life = 0;   ///< what was sent to an earlier life of the server is not carried out any more
  MonotonicTime forgot_at{};       ///< when the store lost its last commits
  std::set<std::uint64_t> denied;  ///< calls of sign functions whose attempts said that nothing was written

  /// The server is started anew, or a standby or a backup takes its place.
  void replace_server(std::uint64_t newer_timelines);
  void violation(const std::string& what);
  /// With the history of the duty if the run is traced.
  void violation(const std::string& what, const DutyKey& key);
  /// Notes what was done to a duty's row, in a run that is traced.
  void trace(const DutyKey& key, std::invocable auto what) {
    if (settings.trace) note(key, what());
  }
  /// What is not about one duty.
  void trace_all(std::invocable auto what) {
    if (!settings.trace) return;
    for (auto& [key, lines] : history_) note(key, what());
  }
  /// No commit has waited for these claims: a crash of the store may take them back.
  void remember_undurable(const std::vector<DutyClaim>& claims);
  [[nodiscard]] bool may_be_lost(const LockToken& token) const { return undurable_.contains(token.str()); }
  /// A signature has left its signer.
  void released(const Duty& duty, const Signature& signature, const std::string& by);
  [[nodiscard]] bool was_released(const DutyKey& key) const { return released_.contains(key); }
  /// Compares the row with what was recorded for it before: a signed row must never change.
  void check_row(const DutyKey& key);
  /// A deletion that is allowed, or a restored backup: what was seen recorded may be gone.
  void forget_recorded(const DutyKey& key) { recorded_.erase(key); }
  void forget_recorded() { recorded_.clear(); }

  [[nodiscard]] bool happens(double probability) { return !is_calm && probability > 0 && chance.happens(probability); }
  [[nodiscard]] bool out() const { return !is_calm && time.now() < outage_until; }
  [[nodiscard]] bool is_another() const { return !is_calm && time.now() < another_until; }

 private:
  void note(const DutyKey& key, std::string what);

  std::map<DutyKey, std::vector<std::string>> history_;
  std::map<DutyKey, std::set<MessageHash>> released_;
  std::map<std::pair<DutyKey, std::string>, std::set<MessageHash>> released_by_;  ///< of each node
  std::map<DutyKey, std::string> recorded_;  ///< message hash of rows that were seen signed
  std::set<std::string> undurable_;          ///< tokens of claims
};

}  // namespace hasigner::simulation
