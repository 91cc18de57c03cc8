#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/protection/store.hpp"

namespace hasigner {

/// Which duties to show; what is not set does not restrict.
struct DutyFilter {
  std::optional<EthAddress> rollup;
  std::optional<EthAddress> validator;
  std::vector<EthAddress> validators = {};  ///< any of these, where `validator` is not given; empty: any at all
  std::optional<Slot> from_slot;
  std::optional<Slot> to_slot;
  std::optional<DutyType> duty_type;
  std::optional<DutyStatus> status;
  std::optional<std::string> node_id;
  std::size_t limit = 1000;
};

/// A whole row, as text where other clients may have written what they like.
struct DutyEntry {
  std::string rollup, validator, slot, block_number, checkpoint_number, block_index, duty_type, status, message_hash,
      signature, node_id, lock_token, started_at, completed_at, expires_at;

  friend bool operator==(const DutyEntry&, const DutyEntry&) = default;
};

struct NodeEntry {
  std::string node_id, incarnation;
  std::string heartbeat_at;  ///< UTC
  bool alive = false;
  std::size_t earlier_incarnations = 0;
};

/// Stands in place of a validator: its watermarks are of every validator of the rollup, those to come included. A slot
/// must be within them and within the validator's own.
inline constexpr std::string_view kEveryValidator = "every";

struct WatermarkEntry {
  std::string rollup, validator, duty_type;  ///< `validator` may be kEveryValidator
  Watermarks watermarks;
  std::string updated_at;  ///< UTC

  friend bool operator==(const WatermarkEntry&, const WatermarkEntry&) = default;
};

/// What is to become of the watermarks of one rollup, validator and duty type.
struct WatermarkChange {
  enum class Extent : std::uint8_t {
    kAny,
    kTightenOnly,  ///< only if no slot is allowed afterwards that the watermarks forbid at that moment
  };

  /// A bound that is not given stays what it is at that moment, whatever set it; one that is given as nullopt is
  /// removed.
  std::optional<std::optional<Slot>> low, high;
  Extent extent = Extent::kAny;

  [[nodiscard]] Watermarks applied_to(const Watermarks& before) const;
  [[nodiscard]] bool may_turn(const Watermarks& before, const Watermarks& after) const;
};

/// Whose watermarks are meant.
struct WatermarkSubject {
  std::optional<EthAddress> validator;  ///< nullopt: kEveryValidator
  DutyType duty_type{};

  friend bool operator==(const WatermarkSubject&, const WatermarkSubject&) = default;
};
/// The address, or kEveryValidator.
[[nodiscard]] std::string validator_text(const std::optional<EthAddress>& validator);

/// Whether slots may be signed afterwards that might not be signed before.
[[nodiscard]] bool allows_more(const Watermarks& before, const Watermarks& after);

struct WatermarkOutcome {
  bool applied = false;  ///< false: the change would have allowed more, and must only tighten
  Watermarks before;
  Watermarks after;
};

enum class KeyState : std::uint8_t { kDisabled, kEnabled };

/// Whether services may sign with a key, as operators have set it for all nodes that share the store. It is a wish of
/// theirs, not protection: the protocol does not ask for it.
struct KeySwitch {
  std::string address;
  bool is_enabled = true;
  std::string changed_by;  ///< any text
  std::string changed_at;  ///< UTC

  friend bool operator==(const KeySwitch&, const KeySwitch&) = default;
};

/// One snapshot of everything that protects.
struct HistorySnapshot {
  std::vector<DutyEntry> duties;
  std::vector<WatermarkEntry> watermarks;
};

/// What became of an import. A *signing* duty is imported as *signing* under its token, never as signed.
struct ImportOutcome {
  std::size_t inserted = 0;
  std::size_t already_there = 0;
  std::vector<std::string> conflicts;  ///< duties that are there with other data; then nothing at all was imported
};

enum class NodeRemoval : std::uint8_t {
  kRemoved,
  kUnknown,     ///< no node of this id is registered
  kAlive,       ///< its lease runs; nothing was removed
  kStillSigns,  ///< *signing* rows carry its id: whose they are must not be forgotten; nothing was removed
};

struct RemovalPreview {
  std::size_t rows = 0;
};

/// On how many machines a confirmed commit is.
struct Replication {
  std::string synchronous_standbys;  ///< the server's own setting; empty: what is confirmed is on one machine only
  std::size_t needed = 0;            ///< standbys that a commit waits for
  /// Standbys that commits can wait for at this moment; nullopt when the signer's role may not see it.
  std::optional<std::size_t> connected;
  /// The operator says that storage replicates below the server; then standbys are not looked at.
  bool by_storage = false;
};

/// What a store has open to its server.
struct ConnectionCounts {
  std::size_t open = 0;
  std::size_t opening = 0;
  std::size_t waiting = 0;  ///< statements that wait for one
};

/// Port for the inspection and maintenance of a store; the protocol does not use it.
///
/// Thread safety and deadlines as for Store.
class History {
 public:
  virtual ~History() = default;

  /// Newest slots first.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                                    MonotonicTime deadline) = 0;
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) = 0;
  /// Takes a node that is gone for good out of the registry. Its signed rows stay; should it come back after all, it
  /// registers anew.
  [[nodiscard]] virtual asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id,
                                                                              MonotonicTime deadline) = 0;
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(
      MonotonicTime deadline) = 0;
  /// Returns nullopt for a store without connections.
  [[nodiscard]] virtual std::optional<ConnectionCounts> connections() const { return std::nullopt; }
  /// Returns nullopt for a store without machines of its own.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::optional<Replication>>> replication(MonotonicTime deadline) {
    (void)deadline;
    co_return std::optional<Replication>();
  }
  /// The rights that signing needs and this role lacks, each with its table. Empty for a store without roles.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<std::string>>> lacking_rights(MonotonicTime deadline) {
    (void)deadline;
    co_return std::vector<std::string>();
  }
  /// Sets the bounds that are given, for all subjects in one transaction, under a lock that waits for every attempt in
  /// flight and lets none slip past. Outcomes are in the order of the subjects; one that is not applied keeps none of
  /// the others back.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> set_watermarks(
      EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change, MonotonicTime deadline) = 0;
  /// Every key that was ever disabled. Other keys are enabled.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<KeySwitch>>> key_switches(MonotonicTime deadline) {
    (void)deadline;
    co_return std::vector<KeySwitch>();
  }
  /// Disables or enables a key. False: it was so already, and nothing was changed.
  [[nodiscard]] virtual asio::awaitable<StoreResult<bool>> set_key_switch(EthAddress address, KeyState state,
                                                                          std::string by, MonotonicTime deadline) {
    (void)address, (void)state, (void)by, (void)deadline;
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this store keeps no switches of keys"});
  }
  /// How many rows a removal would delete in all.
  [[nodiscard]] virtual asio::awaitable<StoreResult<RemovalPreview>> preview(RemovalRequest request,
                                                                             MonotonicTime deadline) = 0;
  [[nodiscard]] virtual asio::awaitable<StoreResult<HistorySnapshot>> export_history(MonotonicTime deadline) = 0;
  /// All or nothing, under the lock of set_watermarks(). Watermarks only rise (low) or fall (high).
  [[nodiscard]] virtual asio::awaitable<StoreResult<ImportOutcome>> import_history(HistorySnapshot snapshot,
                                                                                   MonotonicTime deadline) = 0;
};

}  // namespace hasigner
