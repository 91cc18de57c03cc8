#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hasigner/protection/config.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

// The values of which an attempt is made: what it is for, where it stands, what it may be told, what it may ask for.
// docs/protocol.md draws them; transition.hpp has the rules.

namespace hasigner::attempt {

enum class Purpose : std::uint8_t {
  kSign,              ///< claim, sign, record
  kSignFirst,         ///< sign, then claim and record at once
  kSignUnprotected,   ///< sign only: the duty type needs no protection
  kClaimForCaller,    ///< step API: claim; from then on the row is the caller's
  kRecordForCaller,   ///< step API: record what the caller holds and has signed
  kReleaseForCaller,  ///< step API: release what the caller holds
};

/// What does not change during an attempt.
struct Facts {
  Purpose purpose = Purpose::kSign;
  Duty duty;
  LockToken token;  ///< of its claim; for a caller's record or release: the one that the caller holds
  StoreCapabilities store;
  MonotonicTime deadline{};
  const SignerConfig& config;
};

// ---- What an attempt may have left in the store.

/// By which request a row may carry a token of this attempt.
enum class Origin : std::uint8_t { kClaim, kSignedClaim, kSameData, kReplacement };

enum class Presence : std::uint8_t {
  kInFlight,  ///< the request was sent, and the attempt has stopped waiting for its answer
  kUnknown,   ///< the request got no answer: the row may stand, or may still appear
  kStands,    ///< the row was last seen under this token
};

/// A row that this attempt has, or may have, in the store.
struct Trace {
  LockToken token;
  Origin origin = Origin::kClaim;
  Presence presence = Presence::kUnknown;
};
using Traces = std::vector<Trace>;

// ---- Whether the signature is made before the duty is held.

struct NothingSigned {};
/// The signature was made before any row was written.
struct SignedFirst {
  Signature signature;
};
enum class RecordDoubt : std::uint8_t { kNone, kMayBeRecorded };
/// The signature was made under a lock that was lost before the record.
struct SignedAndLost {
  Signature signature;
  RecordDoubt doubt = RecordDoubt::kNone;
};
using Hand = std::variant<NothingSigned, SignedFirst, SignedAndLost>;

/// Since when the row has had this token.
struct Seen {
  LockToken token;
  MonotonicTime since{};
};

/// What an attempt knows while it does not hold the duty.
struct Pursuit {
  Hand hand;
  Traces traces;
  std::optional<Seen> seen{};  ///< the row that was there last
  std::optional<MonotonicTime> waiting_since{};
  /// For a caller: its replacement was applied under this token. The token is handed out when a later look shows that
  /// nothing refuses.
  std::optional<LockToken> replaced_by{};
  milliseconds store_pause{10};  ///< before the store is asked again after an error
  std::string last_error{};
};

/// What an attempt knows that holds the duty and has its signature.
struct RecordTry {
  LockToken token;
  Signature signature;
  Traces traces;
  RecordDoubt doubt = RecordDoubt::kNone;
  int fruitless = 0;  ///< records that matched nothing although the row was ours and nothing forbade it
  milliseconds pause{10};
  std::string last_error{};
};

// ---- The answer to the caller.

struct HeldToken {
  LockToken token;
};
struct Recorded {};
struct Released {
  bool was_there = false;
};
using Answer = std::variant<Signature, HeldToken, Recorded, Released, SigningError>;

// ---- States: each waits for the answer to one action.

struct New {};
struct Queued {};  ///< waits for its turn at the duty within this process
/// The sign function runs; nothing is in the store.
struct SigningFirst {
  MonotonicTime since{};
};
/// Before it writes: waits until this node's lease is known to run, or will not run again.
struct AwaitingLease {
  struct Claim {};
  struct ClaimSigned {};
  struct TakeOver {
    TakeoverKind kind;
    LockToken seen;
  };
  using Next = std::variant<Claim, ClaimSigned, TakeOver>;
  Pursuit pursuit;
  Next next;
  std::string not_renewed{};  ///< why the lease does not run
};
struct Claiming {
  Pursuit pursuit;
};
struct ClaimingSigned {
  Pursuit pursuit;
};
struct Looking {
  Pursuit pursuit;
};
/// Another attempt holds the duty; pauses before the next look.
struct Waiting {
  Pursuit pursuit;
};
struct TakingOver {
  Pursuit pursuit;
  Takeover request;
};
/// The store did not answer, or a row was locked or has changed; pauses before it is asked again.
struct BackingOff {
  enum class Retry : std::uint8_t { kClaim, kClaimSigned, kLook };
  Pursuit pursuit;
  Retry retry = Retry::kClaim;
};
/// Another attempt's signature is there; it is handed out only when a write of our own has confirmed it.
struct ConfirmingStored {
  Traces traces;
  DutyAlreadySigned refusal;
};
/// The duty is held and the sign function runs.
struct Signing {
  LockToken token;
  Traces traces;
  MonotonicTime since{};
};
struct Recording {
  RecordTry record;
};
struct RecordBackingOff {
  RecordTry record;
};
/// A record matched nothing; looks why.
struct Inspecting {
  RecordTry record;
};
/// Releases what may stand, once for each trace; before the answer or behind it.
struct Releasing {
  struct BeforeAnswer {
    Answer answer;
  };
  struct BehindAnswer {
    MonotonicTime give_up_at{};
    milliseconds pause{};
  };
  Traces traces;
  std::size_t at = 0;  ///< the trace that is being released
  MonotonicTime until{};
  std::variant<BeforeAnswer, BehindAnswer> when;
};
/// Has answered, and something of it may still stand or appear; pauses before the next release.
struct Unsettled {
  Traces traces;
  MonotonicTime give_up_at{};
  milliseconds pause{};
};
struct ReleasingForCaller {};
struct Done {};

using State = std::variant<New, Queued, SigningFirst, AwaitingLease, Claiming, ClaimingSigned, Looking, Waiting,
                           TakingOver, BackingOff, ConfirmingStored, Signing, Recording, RecordBackingOff, Inspecting,
                           Releasing, Unsettled, ReleasingForCaller, Done>;

// ---- Events: what the store, the sign function, the clock and stop() said.

struct Begun {};
struct TurnCame {};
struct LeaseHeld {};
/// The lease will not run again.
struct LeaseRefused {
  SigningError error;
};
/// The lease does not run, and a heartbeat may renew it.
struct LeaseNotRenewed {
  std::string reason;
};
struct SignatureMade {
  Signature signature;
};
struct SigningFailed {
  std::string cause;
};
struct ClaimAnswered {
  ClaimOutcome outcome;
};
struct SignedClaimAnswered {
  SignedClaimOutcome outcome;
};
struct ViewAnswered {
  DutyView view;
};
struct TakeoverAnswered {
  RowOutcome outcome;
};
struct RecordAnswered {
  RowOutcome outcome;
};
struct StoredConfirmed {
  bool is_confirmed;
};
/// What became of one release.
struct ReleaseResult {
  RowOutcome outcome = RowOutcome::kNotMatched;
  bool settled = true;  ///< false: the row was locked, or a lost request may still be carried out; release again
};
struct ReleaseAnswered {
  ReleaseResult result;
};
struct StoreFailed {
  StoreError error;
};
struct InFlightEnded {};  ///< an answer that the attempt had stopped waiting for has come
struct Delivered {};      ///< the caller has its answer
struct TimeUp {};         ///< the action's time has passed: a pause has ended, or no answer has come
struct Stopped {};        ///< stop() ends this kind of action

using Event = std::variant<Begun, TurnCame, LeaseHeld, LeaseRefused, LeaseNotRenewed, SignatureMade, SigningFailed,
                           ClaimAnswered, SignedClaimAnswered, ViewAnswered, TakeoverAnswered, RecordAnswered,
                           StoredConfirmed, ReleaseAnswered, StoreFailed, InFlightEnded, Delivered, TimeUp, Stopped>;

// ---- Actions.

struct JoinQueue {};
struct EnsureLease {};     ///< asks how this node's lease stands now
struct AwaitHeartbeat {};  ///< asks the same after the store's next answer about the lease
struct Sign {};
struct SendClaim {
  LockToken token;
};
struct SendSignedClaim {
  Signature signature;
};
struct SendLook {};
struct SendTakeover {
  Takeover request;
};
struct SendRecord {
  LockToken token;
  Signature signature;
};
struct ConfirmStored {
  Signature signature;
};
struct SendRelease {
  LockToken token;
};
struct AwaitInFlight {
  Origin origin = Origin::kClaim;
};
struct Pause {
  enum class Rhythm : std::uint8_t { kExact, kJittered };
  milliseconds length{};
  Rhythm rhythm = Rhythm::kJittered;
};
struct Finish {
  Answer answer;
};
struct End {};

using Action = std::variant<JoinQueue, EnsureLease, AwaitHeartbeat, Sign, SendClaim, SendSignedClaim, SendLook,
                            SendTakeover, SendRecord, ConfirmStored, SendRelease, AwaitInFlight, Pause, Finish, End>;

/// How far stop() has come. An action that is bounded by a level ends with Stopped when stop() reaches it.
enum class StopLevel : std::uint8_t {
  kRunning,
  kStopping,     ///< attempts that have not begun to sign give up
  kStopSigning,  ///< attempts that sign give up too
  kClosed,       ///< the store is about to close
};

}  // namespace hasigner::attempt
