#pragma once

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hasigner/protection/history.hpp"
#include "hasigner/protection/journal_rounds.hpp"
#include "hasigner/store/rows/table_row.hpp"

namespace hasigner::memory {

/// Where a row stands: its duty without letter case, then the texts of its addresses as they were written. So all rows
/// about one duty are neighbours.
struct RowKey {
  std::string rollup, validator;  ///< in lower case
  std::int64_t slot = 0;
  std::string duty_type;
  std::int32_t block_index = kNoBlockIndex;
  std::string rollup_text, validator_text;

  friend auto operator<=>(const RowKey&, const RowKey&) = default;
};

[[nodiscard]] RowKey key_of(const DutyKey& key);
[[nodiscard]] RowKey key_of(const TableRow& row);

/// A node id's entry in the registry.
struct RegisteredNode {
  Incarnation incarnation;
  std::vector<Incarnation> former;  ///< the newest last
  UtcTime registered_at, heartbeat_at, lease_until;
  struct Journal {
    std::optional<Incarnation> incarnation = {};  ///< that kept it last; nullopt: all of it is in the tables
    std::uint64_t asked = 0, completed = 0, lost = 0;
    ReachedSlots slots;
  };
  std::optional<Journal> journal = {};
};

/// The tables of a store, held in memory: what all nodes of one tables share.
///
/// Every function is one transaction that happens at one instant and cannot fail, so that a wrapper can carry out a
/// request and keep its reply, delay a request, or let something happen between the insert and the look of a claim.
/// Deterministic: everything is ordered by value and timed by the clock port.
/// Thread safety: none; one executor.
class MemoryTables {
 public:
  /// `clock` must outlive the tables. The clock's now is 2026-01-01 of the tables.
  explicit MemoryTables(const Clock& clock, std::string cluster_id = "00000000000000000000000000000001");

  /// By the tables's clock, in UTC.
  [[nodiscard]] UtcTime now() const;
  [[nodiscard]] const std::shared_ptr<const StoreEpoch>& epoch() const { return epoch_; }
  /// For tests: as if a failover or a restore had put another history in its place.
  void set_epoch(StoreEpoch epoch) { epoch_ = std::make_shared<const StoreEpoch>(std::move(epoch)); }

  // What Store does, one statement each.

  /// The first half of a claim: true for each duty that had no row.
  std::vector<bool> insert_claims(const NodeId& node_id, std::span<const DutyClaim> claims);
  /// The second half: everything that is known about the duty.
  [[nodiscard]] DutyView view(const DutyKey& key) const;
  SignedClaimOutcome claim_signed(const NodeId& node_id, const SignedClaim& claim);
  RowOutcome take_over(const NodeId& node_id, const Takeover& takeover);
  RowOutcome record(const DutyRecord& record);
  RowOutcome release(const DutyRelease& release);
  std::vector<bool> confirm_stored(const NodeId& node_id, std::span<const StoredSignature> signatures);
  RegistrationOutcome register_node(const NodeRegistration& registration);
  bool renew(const NodeRegistration& registration);
  void end_lease(const NodeRegistration& registration);
  RemovalOutcome remove(const RemovalRequest& request);

  // What JournalRounds does.

  std::optional<std::uint64_t> begin_round(const NodeRegistration& registration, JournalRounds::Why why);
  [[nodiscard]] std::vector<JournaledNode> journaled_nodes() const;
  /// Returns false where this incarnation is not registered.
  bool tell(const NodeRegistration& registration, std::uint64_t completed, const ReachedSlots& slots);
  void leave(const NodeRegistration& registration);
  void give_up(const std::vector<std::string>& node_ids);
  void forbid_up_to(const EthAddress& rollup, const std::optional<EthAddress>& validator,
                    const std::vector<DutyType>& duty_types, Slot slot);

  // What History does.

  [[nodiscard]] std::vector<DutyEntry> duties(const DutyFilter& filter) const;
  [[nodiscard]] std::vector<NodeEntry> nodes() const;
  NodeRemoval remove_node(const std::string& node_id);
  [[nodiscard]] std::vector<WatermarkEntry> watermarks() const;
  WatermarkOutcome set_watermarks(const EthAddress& rollup, const std::optional<EthAddress>& validator, DutyType type,
                                  const WatermarkChange& change);
  [[nodiscard]] std::vector<KeySwitch> key_switches() const;
  bool set_key_switch(const EthAddress& address, KeyState state, std::string by);
  [[nodiscard]] RemovalPreview preview(const RemovalRequest& request) const;
  [[nodiscard]] HistorySnapshot export_history() const;
  ImportOutcome import_history(const HistorySnapshot& snapshot);

  // What any other client of the tables may do: a published node, a person with psql.

  [[nodiscard]] const std::map<RowKey, TableRow>& rows() const { return rows_; }
  /// Returns false when a row with that key is there.
  bool insert_row(TableRow row);
  /// Returns null when there is no such row. Every column except those of the key may be changed.
  [[nodiscard]] TableRow* row(const RowKey& key);
  /// As if the store had been restored from before the node was registered.
  void forget_node(const std::string& node_id) { nodes_.erase(node_id); }
  /// As if the store's clock had been set back after a heartbeat of an incarnation that is gone.
  void set_lease(const std::string& node_id, UtcTime lease_until);
  /// Deletes a row; that of a signed one raises the low watermark, as the trigger does.
  bool delete_row(const RowKey& key);

 private:
  struct WatermarkKey {
    std::string rollup, validator, duty_type;
    friend auto operator<=>(const WatermarkKey&, const WatermarkKey&) = default;
  };
  struct StoredWatermarks {
    std::optional<std::int64_t> low, high;
    UtcTime updated_at;
  };

  /// The stricter of the validator's own and those of every validator.
  [[nodiscard]] Watermarks watermarks_of(const DutyKey& key) const;
  [[nodiscard]] std::vector<const TableRow*> rows_of_duty(const RowKey& key) const;
  [[nodiscard]] const TableRow* alias_of(const DutyKey& key) const;
  [[nodiscard]] HolderState holder_of(const TableRow& row) const;
  [[nodiscard]] bool is_registered(const TableRow& row) const;
  [[nodiscard]] RegisteredNode* registered(const NodeRegistration& registration);
  [[nodiscard]] bool holds_lease(const NodeId& node_id, const LockToken& token) const;
  [[nodiscard]] bool may_remove(const TableRow& row, const RemovalRequest& request) const;
  [[nodiscard]] bool has_recent_foreign_rows() const;
  [[nodiscard]] std::optional<std::string> conflict_of(const TableRow& incoming) const;
  void import_row(TableRow incoming, ImportOutcome& outcome);
  void raise_low_watermark(const TableRow& deleted);

  const Clock& clock_;
  const MonotonicTime start_;
  std::shared_ptr<const StoreEpoch> epoch_;
  std::map<RowKey, TableRow> rows_;
  std::map<WatermarkKey, StoredWatermarks> watermarks_;
  std::map<std::string, RegisteredNode> nodes_;
  std::map<std::string, KeySwitch> key_switches_;
};

}  // namespace hasigner::memory
