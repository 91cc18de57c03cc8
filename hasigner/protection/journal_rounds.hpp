#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/reached_slots.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

/// What the store knows of a node that keeps a journal.
struct JournaledNode {
  std::string node_id;
  std::string heartbeat;       ///< opaque; when it changes, the node is alive
  bool is_alive = false;       ///< its lease runs, by the store's clock
  bool keeps_journal = false;  ///< the incarnation that is registered does; else an earlier one did
  std::uint64_t asked = 0;     ///< the latest round that it asked for
  std::uint64_t completed =
      0;                   ///< since this round began, its whole journal was found in the store, or written into it
  std::uint64_t lost = 0;  ///< the latest round that it asked for because the store had lost something
  ReachedSlots slots;
};

/// Port: rounds in which the nodes of one store compare their journals with it, see FailoverGuard.
///
/// Each call is sent only to the history in which it was asked, as Store's calls are that can win a duty.
class JournalRounds {
 public:
  virtual ~JournalRounds() = default;

  /// Whether the store has tables for rounds, as far as it has been seen.
  [[nodiscard]] virtual bool has_rounds() const = 0;

  enum class Why : std::uint8_t { kOtherHistory, kLoss };

  /// Asks all nodes to compare. Gives the number of the round: higher than any that a node has completed in this
  /// history. As durable as a record. kUnavailable where this incarnation is not registered.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::uint64_t>> begin_round(NodeRegistration node, Why why,
                                                                                MonotonicTime deadline) = 0;
  /// Nodes that keep a journal, or whose earlier incarnations did, in the order of their ids.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<JournaledNode>>> journaled_nodes(
      MonotonicTime deadline) = 0;
  /// Says which round this node has completed, and which slots it has reached. kUnavailable where this incarnation is
  /// not registered.
  [[nodiscard]] virtual asio::awaitable<StoreResult<Unit>> tell(NodeRegistration node, std::uint64_t completed,
                                                                ReachedSlots slots, MonotonicTime deadline) = 0;
  /// This node ends, and the store has all that is in its journal.
  [[nodiscard]] virtual asio::awaitable<StoreResult<Unit>> leave(NodeRegistration node, MonotonicTime deadline) = 0;
  /// What stands only in the journals of these nodes is given up: they are listed no more, unless they come back. Such
  /// whose leases run are left out.
  [[nodiscard]] virtual asio::awaitable<StoreResult<Unit>> give_up(std::vector<std::string> node_ids,
                                                                   MonotonicTime deadline) = 0;
  /// Raises low watermarks to this slot where they are lower: of these duty types, of one validator or of every one.
  [[nodiscard]] virtual asio::awaitable<StoreResult<Unit>> forbid_up_to(EthAddress rollup,
                                                                        std::optional<EthAddress> validator,
                                                                        std::vector<DutyType> duty_types, Slot slot,
                                                                        MonotonicTime deadline) = 0;
};

}  // namespace hasigner
