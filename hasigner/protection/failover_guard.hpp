#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/guard_memory.hpp"
#include "hasigner/protection/journal_rounds.hpp"

namespace hasigner {

/// Whether a node holds, for people and counters.
struct GuardStatus {
  bool holds = false;
  std::string why;                     ///< in what the history has changed
  std::vector<std::string> waits_for;  ///< nodes that have not compared their journals yet
  std::string waits;                   ///< the same in words, with what is known of each
  std::string obstacle;                ///< what failed at the latest try; empty: nothing
  std::uint64_t holds_begun = 0;
};

/// Keeps a node from asking a store to win, record or confirm anything while other nodes may not have written back what
/// the store has lost.
///
/// It holds where the history is not the one in which this node was cleared last: another database, server or timeline,
/// a server that was started anew, one without a place for rounds, or a loss that some node has found. It then asks all
/// nodes for a round, and is cleared when every node that lives and keeps a journal has since found all of its journal
/// in the store, or written it back. Of a node that keeps a journal and does not come back nothing is known, nor of a
/// journal of this node id that is not there any more: if the history is another one, as it may be where this journal
/// is new, or something was lost, the low watermark of every validator is raised to the highest slot that any node is
/// known to have reached; to one that lies in the future only of the validators that were asked for with it.
///
/// Thread safety: one executor.
class FailoverGuard {
 public:
  enum class News : std::uint8_t {
    kHolds,        ///< why
    kWaits,        ///< for which nodes, and what is known of each: told when it lasts
    kCleared,      ///< after how long
    kForbids,      ///< which slots are refused since, and because of which nodes
    kReleased,     ///< by whom it was ended although nodes are waited for
    kUnsupported,  ///< the store has no tables for rounds
  };
  struct Parts {
    std::shared_ptr<Clock> clock;
    std::shared_ptr<Store> store;
    std::shared_ptr<JournalRounds> rounds;  ///< null: this node never holds
    NodeId node_id;
    std::function<void(News, const std::string&)> tell;
    std::function<void(const std::string&)> remember;  ///< what is to be given to the guard of the next process
  };
  /// `remembered`: as `remember` was told it last; empty: never.
  FailoverGuard(Parts parts, std::string remembered);

  /// To be asked right before the store is.
  [[nodiscard]] bool holds() const;
  [[nodiscard]] GuardStatus status() const;
  /// The answer to a request that is not sent, with the reason.
  [[nodiscard]] StoreError refusal() const;

  /// To be told after each registration: others do not know this node until it has told them of itself.
  void registered() { told_slots_.reset(); }
  /// Looks at the rounds, and asks for one where this node begins to hold.
  [[nodiscard]] asio::awaitable<void> look(NodeRegistration self, MonotonicTime deadline);
  /// The latest round that was read, if this node has not completed it in this history.
  [[nodiscard]] std::optional<std::uint64_t> open_round() const;
  /// Since that round was read, all of this node's journal was found in the store, or was written into it.
  void complete(std::uint64_t round);
  /// This node's journal has what the store does not have. Returns false where the others could not be told: ask again.
  [[nodiscard]] asio::awaitable<bool> note_loss(NodeRegistration self);
  /// Tells what has changed, and clears this node where nothing is waited for any more. `slots`: what it has reached.
  [[nodiscard]] asio::awaitable<void> settle(NodeRegistration self, ReachedSlots slots, MonotonicTime deadline);
  /// Ends the hold although nodes are waited for. Returns false where there is none.
  bool release(const std::string& by);

 private:
  struct Hold {
    std::shared_ptr<const StoreEpoch> epoch;
    MonotonicTime begun;
    bool is_other_history = false;   ///< not only a server that was started anew
    bool is_first = false;           ///< this journal has never been cleared
    bool has_lost_own = false;       ///< this node id kept another journal before, which is not there any more
    std::uint64_t round = 0;         ///< that this node has asked for; 0: not yet
    std::set<std::string> expected;  ///< nodes that were alive before
    std::set<std::string> listed;    ///< nodes that kept a journal before, or had kept one
    MonotonicTime told_waits_at{};   ///< the begin, then when it was told last for whom it waits
    std::string why;
  };
  struct Seen {
    std::string heartbeat;
    MonotonicTime changed_at;
  };
  /// Nodes that the hold waits for, those of them that are there, and such that do not come back.
  struct Missing {
    std::vector<std::string> awaited;
    std::set<std::string> there;
    std::vector<std::string> gone;
  };

  [[nodiscard]] bool is_active() const;
  [[nodiscard]] bool has_lost_rounds() const;
  void note_no_rounds();
  [[nodiscard]] bool is_in(const std::shared_ptr<const StoreEpoch>& epoch) const;
  void begin_hold();
  void clear(const std::shared_ptr<const StoreEpoch>& epoch);
  [[nodiscard]] asio::awaitable<bool> read_nodes(std::shared_ptr<const StoreEpoch> epoch, MonotonicTime deadline);
  void note_nodes();
  void keep();
  [[nodiscard]] Missing missing() const;
  void tell_waits(const Missing& missing);
  [[nodiscard]] asio::awaitable<bool> forbid(std::vector<std::string> gone, MonotonicTime deadline);
  [[nodiscard]] MonotonicTime call_until(MonotonicTime deadline) const;
  [[nodiscard]] bool fails(const StoreError& error);

  Parts parts_;
  std::string remembered_;                           ///< see GuardMemory
  std::string cleared_in_;                           ///< likewise
  std::shared_ptr<const StoreEpoch> cleared_epoch_;  ///< null: not cleared
  std::uint64_t cleared_loss_ = 0;                   ///< the latest loss when this node was cleared
  std::optional<Hold> hold_;
  std::vector<JournaledNode> nodes_;           ///< as they were read last
  std::shared_ptr<const StoreEpoch> read_in_;  ///< the history of that; null: the latest try failed
  std::set<std::string> alive_;                ///< others that kept a journal then
  std::set<std::string> listed_;               ///< others that kept one then, or had kept one
  std::map<std::string, Seen> seen_;
  ReachedSlots highest_;                              ///< of any node
  std::optional<ReachedSlots> told_slots_;            ///< since this node is registered, in this history
  bool is_known_ = false;                             ///< to the others, in this history
  std::uint64_t round_ = 0, loss_ = 0;                ///< the latest ones that were read
  std::uint64_t completed_ = 0, told_completed_ = 0;  ///< in this history
  std::uint64_t own_loss_ = 0;                        ///< the round that this node asked for because of a loss
  std::shared_ptr<const StoreEpoch> counted_in_;      ///< the history of these numbers
  std::string obstacle_;
  std::uint64_t holds_begun_ = 0;
  bool has_told_unsupported_ = false;
  bool has_told_no_rounds_ = false;
  bool has_seen_no_rounds_ = false;  ///< since it was cleared
};

}  // namespace hasigner
