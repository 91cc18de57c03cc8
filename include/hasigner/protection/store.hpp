#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

/// Why a store gave no answer. Never merged: what follows from each is different.
enum class StoreErrorKind : std::uint8_t {
  kUnavailable,   ///< nothing was written; asking again may help
  kInDoubt,       ///< it may have been written; ask again with the same tokens
  kIncompatible,  ///< this is not the database that was expected (schema, cluster, recovery); asking again does not
                  ///< help
};

struct StoreError {
  StoreErrorKind kind = StoreErrorKind::kUnavailable;
  std::string reason;  ///< a sentence for a person, without secrets
};

template <class T>
using StoreResult = std::expected<T, StoreError>;

/// Which database answered. Changes when a failover or a restore puts another history in its place.
struct StoreEpoch {
  std::string cluster_id;  ///< of ha_signer_cluster: one random id per database
  std::string system_id;   ///< of the server; empty for embedded stores
  std::uint64_t timeline = 0;
  /// When the server was started: what was restored or copied is served by one that was. Empty for embedded stores.
  std::string server_started = {};
  /// Which tables these are within the server: a dump that was restored made others. Empty for embedded stores.
  std::string tables = {};

  friend bool operator==(const StoreEpoch&, const StoreEpoch&) = default;
};

/// The outcomes of a batch, in the order of its requests.
template <class T>
using StoreBatch = asio::awaitable<StoreResult<std::vector<T>>>;

/// What a store can do; where it cannot, protection falls back by rule.
struct StoreCapabilities {
  bool same_token_retry = true;  ///< a claim repeated with its token recognises its own row
  bool signed_claims = false;    ///< claim_signed(); may become true once the store has answered
  bool take_over = true;
  bool registry = true;
  std::size_t parallel_batches = 1;  ///< batches of one kind that it can usefully have in flight
};

enum class DutyStatus : std::uint8_t { kSigning, kSigned };

/// Who holds a *signing* row, by the store's registry and clock.
enum class HolderState : std::uint8_t {
  kUnfenced,  ///< not ours, not registered, taken over, or handed out: it may release without asking
  kAlive,     ///< a fenced row of a registered incarnation whose lease runs
  kExpired,   ///< a fenced row of a registered incarnation whose lease has run out, or that a later one replaced
};

/// A row of validator_duties as far as the protocol looks at it. Any client may have written it.
struct DutyRow {
  DutyStatus status = DutyStatus::kSigning;
  std::optional<MessageHash> message_hash;  ///< nullopt when the text in the table is not a hash: it then equals none
  std::optional<Signature> signature;
  std::string node_id;
  LockToken lock_token;
  HolderState holder = HolderState::kUnfenced;  ///< means something for *signing* rows only
};

/// Slots that may be signed: above `low` and not above `high`.
struct Watermarks {
  std::optional<Slot> low;
  std::optional<Slot> high;

  [[nodiscard]] bool allow(Slot slot) const { return (!low || slot > *low) && (!high || slot <= *high); }
  friend bool operator==(const Watermarks&, const Watermarks&) = default;
};

/// Everything that a store knows about one duty, read in one statement.
struct DutyView {
  std::optional<DutyRow> row;  ///< under the duty's own key
  std::optional<DutyRow>
      alias;  ///< the same duty under another letter case of an address, or under a foreign block index
  Watermarks watermarks;
  /// The one message of this duty that was released on the claim of another node (see ClaimedMessages), and by whom.
  struct ReleasedMessage {
    std::optional<MessageHash> message_hash;  ///< nullopt when the text in the table is not a hash: it then equals none
    std::optional<MessageHash> digest;        ///< what was signed: for `eth_sign` another one than the message hash
    std::optional<Signature> signature;       ///< nullopt while a remote signer has not made it
    std::string node_id;
  };
  std::optional<ReleasedMessage> released = {};
};

struct DutyClaim {
  Duty duty;
  LockToken token;
};

/// What became of one request that writes only where its condition holds: claim, signed claim, takeover, record,
/// release.
enum class RowOutcome : std::uint8_t {
  /// The condition held, and the change is committed: as durable as the store promises, but for a release and for a
  /// claim under a fenced token.
  kApplied,
  kNotMatched,  ///< the condition did not hold; nothing was written
  kLocked,      ///< another transaction kept the row locked; nothing was written now. Ask again.
};

struct ClaimOutcome {
  /// kApplied: the row stands *signing* under `token`. kNotMatched: another row is there, or none. kLocked: nothing was
  /// read for this duty; the row may be the claim's own, if it was sent before.
  RowOutcome outcome = RowOutcome::kLocked;
  /// Under which the claim stands if it stands: the claim's own token, or the one that a foreign database made (empty:
  /// it did not insert).
  LockToken token;
  /// Read by a later statement than the insert.
  DutyView view;
};

/// The outcome of a claim whose row was not locked.
[[nodiscard]] inline ClaimOutcome claim_outcome(LockToken token, DutyView view) {
  const bool stands =
      view.row && view.row->status == DutyStatus::kSigning && !token.empty() && view.row->lock_token == token;
  return {.outcome = stands ? RowOutcome::kApplied : RowOutcome::kNotMatched,
          .token = std::move(token),
          .view = std::move(view)};
}

/// A claim whose signature is made already: the row is written as *signed* at once.
struct SignedClaim {
  Duty duty;
  LockToken token;  ///< repeated with the same token and signature it recognises its own success
  Signature signature;
};

struct SignedClaimOutcome {
  /// kApplied: the row stands *signed* under this token, with this hash and this signature, and nothing refuses:
  /// committed, as durable as the store promises. kNotMatched: this request has left nothing behind; an earlier one
  /// with the same token may have, and the view then shows its row.
  RowOutcome outcome = RowOutcome::kNotMatched;
  /// With kNotMatched only: what is there, read by a later snapshot than the insert. Where it shows no row and nothing
  /// that refuses, the claim was not allowed for another reason (lease, table, history): claim and record instead.
  DutyView view;
};

enum class TakeoverKind : std::uint8_t {
  kSameData,  ///< the row keeps its data; every holder may lose it so
  kReplace,   ///< same data or other; only from a holder that the store, too, finds kExpired
};

/// Becomes the owner of another's *signing* row, by compare-and-set on the token that was seen.
struct Takeover {
  TakeoverKind kind = TakeoverKind::kSameData;
  Duty duty;
  LockToken seen;
  LockToken token;  ///< repeated with the same token it recognises its own success
};

struct DutyRecord {
  DutyKey key;
  LockToken token;
  std::optional<MessageHash> message_hash;  ///< nullopt only for callers of the step API that no longer have it
  Signature signature;
};

/// What a row was seen to hold.
struct StoredSignature {
  DutyKey key;
  MessageHash message_hash;
  Signature signature;
};

struct DutyRelease {
  DutyKey key;
  LockToken token;
};

struct ReleaseReply {
  std::vector<RowOutcome> outcomes;  ///< kNotMatched: no row was there to delete
  /// False: a claim whose reply was lost may still be carried out by the server, so release again.
  bool settled = true;
};

struct NodeRegistration {
  NodeId node_id;
  Incarnation incarnation;
  milliseconds lease{};
  /// register_node() only: replaces the holder although its lease seems to run, if its heartbeat is still this one. For
  /// a holder that was seen silent for longer than its lease while the store's clock had been set back.
  std::string silent_heartbeat = {};
};

struct RegistrationOutcome {
  bool registered = false;
  // Otherwise, about the incarnation that holds the node id:
  std::string holder;     ///< its 16 hex digits
  std::string heartbeat;  ///< opaque; when it changes, the holder is alive
  bool certainly_alive = false;
};

/// Which rows a clean-up deletes. None but kOld, kExpired and kOtherRollups ever touches a signed row; none touches a
/// signing row that an unfenced holder may still release.
enum class Removal : std::uint8_t {
  kAbandoned,  ///< fenced signing rows of earlier incarnations of this node id
  kStuck,  ///< fenced signing rows of this node id's registered incarnations, older than max_age. Not taken-over ones:
           ///< an unfenced earlier holder may have released that data long ago, so other data must never get the duty
  kOld,    ///< signed rows older than max_age (retention); fenced signing rows of that age too
  kExpired,       ///< signed rows whose expires_at has passed (version 3)
  kOtherRollups,  ///< signed rows of other rollups than `rollup`, older than max_age
  kReleased,      ///< what was released on the claims of other nodes (see ClaimedMessages), older than max_age
};

/// Whether it deletes what was signed: signed rows, or what was released on the claims of other nodes. That may go only
/// while no node is at work that does not obey the watermarks which it leaves behind.
[[nodiscard]] bool deletes_signed(Removal what);

struct RemovalRequest {
  Removal what = Removal::kStuck;
  NodeId node_id;
  EthAddress rollup;
  milliseconds max_age{};
  std::size_t limit = 1000;  ///< rows of one statement; locked rows are skipped
};

struct RemovalOutcome {
  std::size_t removed = 0;
  /// Retention found recent rows of nodes that obey no watermark, and removed nothing.
  bool refused_for_foreign_nodes = false;
};

/// Port: where rows live. Takes batches only.
///
/// Every call is bounded by its deadline and by nothing else of the caller: a call that is no longer waited for still
/// runs to its end. The protocol's batches are in key order, so that nodes take their locks in one order, and hold no
/// key twice (see BatchLane). Given another batch, a store still breaks no rule and answers for each request, but two
/// such batches may keep each other waiting, and of equal takeovers or releases one is answered as if it came later.
/// Ages are measured by the store's clock.
/// Thread safety: one executor (the protocol's); distinct stores are independent.
class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual StoreCapabilities capabilities() const = 0;

  /// Which database answered last; null before the first answer.
  [[nodiscard]] virtual std::shared_ptr<const StoreEpoch> epoch() const { return nullptr; }

  /// Inserts each duty as *signing* unless a row is there; then, in a later statement, reads what is there.
  ///
  /// Errors: kUnavailable (nothing was written), kInDoubt (ask again with the same lock tokens).
  [[nodiscard]] virtual StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                                       MonotonicTime deadline) = 0;

  /// Claim and record in one transaction: inserts each duty as *signed* unless a row is there. Then, by a later
  /// snapshot than the insert (which may have waited for a deletion that raised a watermark), asks everything that
  /// claim and record ask: watermarks, aliases, what was released on the claim of another node, the known table, the
  /// current history, and that the token's incarnation holds a lease. A row that must not stand is taken back in the
  /// same transaction and raises no watermark.
  ///
  /// Effects: one round trip, never cancelled, as durable as record(). A repetition is confirmed again.
  /// Errors: kUnavailable (nothing was written), kInDoubt (ask again with the same tokens and signatures).
  [[nodiscard]] virtual StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                                    MonotonicTime deadline) {
    (void)node_id, (void)claims, (void)deadline;
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this store cannot claim and record at once"});
  }

  /// Reads what is there.
  [[nodiscard]] virtual StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) = 0;

  /// Makes each row that is still as it was seen carry the takeover's token.
  [[nodiscard]] virtual StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                         MonotonicTime deadline) = 0;

  /// Turns each row *signed* whose token, hash and watermarks allow it.
  ///
  /// Effects: one statement is one transaction, never cancelled. A repeated record is confirmed again, and its commit
  /// waits for replication again.
  [[nodiscard]] virtual StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) = 0;

  /// Deletes each *signing* row that still carries the token.
  [[nodiscard]] virtual asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                           MonotonicTime deadline) = 0;

  /// Confirms what other nodes recorded, before it is handed out: in ONE statement writes this node's own registry row,
  /// as durable as a record, and looks at the rows again. True for each row that is *signed* with this hash and
  /// signature in the history in which that write was committed. (A row that was read before a failover may not exist
  /// after it.)
  [[nodiscard]] virtual StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                                        MonotonicTime deadline) {
    (void)node_id, (void)signatures, (void)deadline;
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this store cannot confirm a stored signature"});
  }

  /// Registers an incarnation unless another one's lease runs; the one that it replaces is remembered as an earlier
  /// one.
  [[nodiscard]] virtual asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                                        MonotonicTime deadline) = 0;
  /// The heartbeat. False: another incarnation is registered.
  [[nodiscard]] virtual asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                                 MonotonicTime deadline) = 0;
  /// Ends the lease at once (a clean stop).
  [[nodiscard]] virtual asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration,
                                                                     MonotonicTime deadline) = 0;

  /// Deletes one chunk of rows.
  [[nodiscard]] virtual asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                            MonotonicTime deadline) = 0;

  /// Ends connections and threads of its own. Calls in flight are finished with an error.
  [[nodiscard]] virtual asio::awaitable<void> close() = 0;
};

}  // namespace hasigner
