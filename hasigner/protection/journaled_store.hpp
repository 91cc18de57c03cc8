#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "hasigner/protection/claimed_messages.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/failover_guard.hpp"
#include "hasigner/protection/release_journal.hpp"
#include "hasigner/protection/write_back.hpp"

namespace hasigner {

/// How the journal of a node is doing, for people and counters.
struct JournalStatus {
  std::string failure;             ///< why it cannot be written; empty: it can, as far as is known
  std::uint64_t refused = 0;       ///< requests for another message than the journal has
  std::uint64_t forgotten = 0;     ///< duties that the journal has with a signature, and the store has not
  std::uint64_t written_back = 0;  ///< duties that the store had lost and has again
  std::uint64_t contradicted = 0;  ///< duties that the journal has with a signature, and the store with another message
};

/// A store that does not contradict what this node has released, whatever the store below it says.
///
/// What leaves this node has an entry in its journal, durable before it leaves: a record, a signed claim, a stored
/// signature that is confirmed, a duty that is handed out to a caller (claim, takeover, replacement), a message that is
/// released on another node's claim. The entry is written while the store is at work, and withdrawn where the store
/// says no. A request whose duty has an entry with another message does not reach the store; it is answered as if the
/// duty stood *signed* with the journal's message. So a caller is told less often yes than by the store alone, never
/// more often.
///
/// While the journal cannot be written, nothing that could win a duty is asked of the store, and nothing is released.
///
/// What the store has lost is written back, see keep_complete(). While other nodes may not have done so, nothing is
/// asked of the store that could win, record or confirm a duty, see FailoverGuard.
///
/// Thread safety: as Store.
class JournaledStore final : public Store, public ClaimedMessages, public std::enable_shared_from_this<JournaledStore> {
 public:
  struct Parts {
    asio::any_io_executor executor;
    std::shared_ptr<Clock> clock;
    std::shared_ptr<Store> store;
    std::shared_ptr<ClaimedMessages> claimed;  ///< null where the store has none
    std::shared_ptr<ReleaseJournal> journal;
    NodeId node_id;
    std::shared_ptr<RandomSource> random = nullptr;   ///< for keep_complete()
    std::shared_ptr<JournalRounds> rounds = nullptr;  ///< null: other nodes are not waited for
    /// The latest slot of a rollup that honest duties reach now; nullopt: not known. Null: of none.
    std::function<std::optional<Slot>(const EthAddress& rollup)> latest_slot = nullptr;
  };
  /// What a person should know. The texts hold no secrets.
  enum class News : std::uint8_t {
    kFails,         ///< the journal cannot be written; why
    kWorks,         ///< it can be written again
    kForgot,        ///< the store does not have what the journal says was released for this duty
    kTakenUp,       ///< the journal did not have what the store says that this node has signed; how much
    kWrittenBack,   ///< what the store had lost was written back; how much
    kContradicted,  ///< the store has another message than the journal says was released; which
    kHolds,         ///< other nodes are waited for; why
    kWaits,         ///< they are for long; for which ones, and what is known of each
    kCleared,       ///< and are not any more; after how long
    kForbids,       ///< which slots are refused because of a loss, and why
    kReleased,      ///< an operator has ended the wait; who
    kUnguarded,     ///< the store has no tables for what nodes tell each other; what mends that
  };

  explicit JournaledStore(Parts parts);
  ~JournaledStore() override;

  // On the executor.
  [[nodiscard]] const JournalStatus& status() const { return status_; }
  /// Null where other nodes are not waited for.
  [[nodiscard]] FailoverGuard* guard() { return parts_.rounds ? &guard_ : nullptr; }
  /// Duties that are known without a look into the journal.
  [[nodiscard]] std::size_t remembered() const;
  /// Tells also what came before.
  void on_news(std::function<void(News, const std::string&)> tell);
  /// Adds to the journal what the store says that this node has signed, where the journal has nothing about the duty:
  /// it may be new, or an old copy that was put back. Gives how many entries were added.
  [[nodiscard]] static asio::awaitable<StoreResult<std::size_t>> take_up(std::shared_ptr<JournaledStore> self,
                                                                         std::vector<JournalEntry> signed_rows,
                                                                         MonotonicTime deadline);
  /// While the journal cannot be written, tries whether it can be again; then it gets what could not be taken up.
  [[nodiscard]] static asio::awaitable<void> try_journal(std::shared_ptr<JournaledStore> self, MonotonicTime deadline);

  /// Until close(): compares entries with the store, and writes back what it has lost (see write_back.hpp). At first
  /// all entries that are in memory; then the latest ones twice a second, and more of them after a change of the
  /// store's epoch, and as many as are missing. Waits until the node is registered.
  [[nodiscard]] static asio::awaitable<void> keep_complete(std::shared_ptr<JournaledStore> self);

  [[nodiscard]] StoreCapabilities capabilities() const override { return parts_.store->capabilities(); }
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() const override { return parts_.store->epoch(); }
  [[nodiscard]] StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                            MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                 MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                         MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration,
                                                             MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                    MonotonicTime deadline) override;
  /// Closes the store and then the journal.
  [[nodiscard]] asio::awaitable<void> close() override;

  /// For which duties a message is claimed, only the store's answer tells; so the entry is written after it.
  [[nodiscard]] StoreBatch<ClaimedOutcome> release_claimed(NodeId node_id, std::vector<ClaimedMessage> messages,
                                                           MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<FoundDuty>>> about_message(ClaimedMessage message,
                                                                                   MonotonicTime deadline) override;

 private:
  JournaledStore(Parts parts, const JournalContents& contents);

  // The kinds of requests that pass through the journal; in the source file.
  struct Claiming;
  struct ClaimingSigned;
  struct TakingOver;
  struct Recording;
  struct ConfirmingStored;

  /// Whether a message may be released for a duty, as far as the journal knows.
  enum class Verdict : std::uint8_t {
    kAllowed,
    kContradicts,  ///< this node has released another message, or may have
    kBusy,         ///< another message is on its way; ask again
    kForgotten,    ///< what was released for a slot as low as this one is not known any more
  };
  /// What is known about the message of a duty.
  struct Known {
    MessageHash hash;
    std::size_t pending = 0;       ///< requests on their way that may release it
    bool is_released = false;      ///< it left this node, or may have before a crash
    bool is_settled = false;       ///< it did leave this node
    bool is_written = false;       ///< it is in the journal, durably
    bool has_signature = false;    ///< in the journal
    LockToken handed_out = {};     ///< under which a caller got the duty, the latest; empty: none did
    bool has_two_callers = false;  ///< an earlier one may sign, whatever the latest does
  };
  /// Of one rollup. What is not known here is asked of the journal, where its slot is as low as `unread`.
  struct Memory {
    std::map<Slot, std::pmr::unordered_map<DutyKey, Known, DutyKeyHash>> slots;
    std::size_t size = 0;
    std::optional<Slot> unread;
    std::optional<Slot> forgotten;
  };
  /// The entries of one batch, from before it is sent until it is known what was released.
  struct Admission : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    std::vector<JournalEntry> entries;
    std::vector<Known*> known;                                  ///< of each entry; it stays while it is pending
    std::shared_ptr<Arrival<ReleaseJournal::Written>> written;  ///< null: nothing has to be written
    MonotonicTime begun{};
  };

  template <class Kind>
  [[nodiscard]] StoreBatch<typename Kind::Outcome> pass(NodeId node_id, std::vector<typename Kind::Request> requests,
                                                        MonotonicTime deadline);
  [[nodiscard]] asio::awaitable<std::optional<StoreError>> prepare(std::vector<DutyKey> keys, MonotonicTime deadline);
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyRecord>>> with_hashes(std::vector<DutyRecord> records,
                                                                                  MonotonicTime deadline);
  [[nodiscard]] bool is_writable() const;
  [[nodiscard]] bool is_silent() const;
  [[nodiscard]] Verdict judge(const DutyKey& key, const MessageHash& hash) const { return judge(find(key), key, hash); }
  [[nodiscard]] Verdict judge(const Known* it, const DutyKey& key, const MessageHash& hash) const;
  [[nodiscard]] DutyView refusing_view(const DutyKey& key) const;
  [[nodiscard]] asio::awaitable<StoreResult<std::map<DutyKey, DutyView>>> held_by_callers(std::vector<DutyKey> keys,
                                                                                          MonotonicTime deadline);
  [[nodiscard]] ClaimedOutcome refused_claimed(const DutyKey& key, const MessageHash& hash);
  [[nodiscard]] static bool was_released_signed(const Known* it);
  void count_refusal(const DutyKey& key);
  [[nodiscard]] bool is_far(const EthAddress& rollup, const Slot& slot) const;
  [[nodiscard]] bool note_reached(const DutyKey& key);
  void note_far(const DutyKey& key);
  [[nodiscard]] ReachedSlots reached();

  void enter(Admission& admission, JournalEntry entry);
  void begin_writing(Admission& admission);
  [[nodiscard]] asio::awaitable<bool> written(Admission& admission, MonotonicTime deadline);
  void settle(Admission& admission, const std::vector<bool>& released);
  void note_outcome(const std::optional<ReleaseJournal::Written>& outcome);
  void note_written(const std::vector<JournalEntry>& entries);

  [[nodiscard]] const Known* find(const DutyKey& key) const;
  [[nodiscard]] Known* find(const DutyKey& key);
  Known& known(const DutyKey& key, const MessageHash& hash);
  void remember(const JournalEntry& entry);
  void forget(const DutyKey& key);
  void forget_lowest(Memory& memory);

  /// Duties of one rollup that were released, or may have been: of all slots that begin with the highest below `below`,
  /// as many as make a chunk.
  struct Chunk {
    std::vector<DutyKey> keys;
    Slot lowest;
  };
  [[nodiscard]] Chunk chunk_below(const EthAddress& rollup, std::optional<Slot> below, std::size_t size);
  [[nodiscard]] asio::awaitable<bool> has_latest(MonotonicTime deadline);
  [[nodiscard]] asio::awaitable<StoreResult<bool>> complete_store();
  [[nodiscard]] asio::awaitable<StoreResult<bool>> complete_rollup(EthAddress rollup);
  [[nodiscard]] asio::awaitable<StoreResult<WriteBackOutcome>> complete_duties(std::vector<DutyKey> keys);
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<JournalEntry>>> entries_of(std::vector<DutyKey> keys,
                                                                                   MonotonicTime deadline);
  [[nodiscard]] asio::awaitable<void> keep_complete_once();
  [[nodiscard]] asio::awaitable<bool> compare_once();
  [[nodiscard]] asio::awaitable<void> look_at_rounds();
  [[nodiscard]] asio::awaitable<void> forbid_busy();
  void note(const WriteBackOutcome& outcome);

  static asio::awaitable<void> compare(std::shared_ptr<JournaledStore> self, DutyKey key, MessageHash hash);
  void note_forgotten(const DutyKey& key);
  void tell(News news, const std::string& text);

  Parts parts_;
  /// What stays for hours lies apart from what lasts one request, or the latter's memory is found slowly.
  std::pmr::unsynchronized_pool_resource duties_memory_;
  std::map<EthAddress, Memory> memory_;
  boost::intrusive::list<Admission, boost::intrusive::constant_time_size<false>> in_flight_;
  std::shared_ptr<const Unit> lookup_ = std::make_shared<const Unit>();  ///< held by who waits for what the journal has
  bool comparing_ = false;
  std::optional<NodeRegistration> registration_;
  bool is_complete_ = false;  ///< the store, as far as is known
  std::optional<MonotonicTime> incomplete_since_;
  bool found_missing_ = false;    ///< by the comparison that goes on
  bool skipped_pending_ = false;  ///< likewise: what was released and is being asked for again, or is not written yet
  bool has_lost_ = false;         ///< the store has; other nodes have not been told
  bool has_left_ = false;         ///< the rounds: this node ends
  std::set<DutyKey> busy_;        ///< of the comparison that goes on: see WriteBackOutcome
  ReachedSlots reached_;          ///< what was asked for
  std::optional<MonotonicTime> stuck_until_;
  milliseconds stuck_pause_{};
  bool has_compared_all_ = false;
  std::map<EthAddress, Slot> missing_from_;            ///< by rollup, while the store is not complete: the lowest slot
  std::shared_ptr<const StoreEpoch> completed_epoch_;  ///< in which it was
  std::shared_ptr<Arrival<Unit>> closing_;
  std::vector<JournalEntry> not_taken_up_;  ///< see take_up(): in memory only, until the journal can be written
  std::set<DutyKey> told_;                  ///< to be forgotten by the store
  std::set<DutyKey> contradicted_;          ///< told, too
  std::function<void(News, const std::string&)> tell_;
  std::vector<std::pair<News, std::string>> untold_;  ///< what came before on_news()
  JournalStatus status_;
  FailoverGuard guard_;
};

}  // namespace hasigner
