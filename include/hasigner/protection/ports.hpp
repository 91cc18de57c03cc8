#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

class NodeHealth;
class PlausibleSlots;

/// One thing to sign: what a sign function gets.
struct SignRequest {
  EthAddress validator;
  MessageHash message_hash;
  SigningContext context;
};

/// A signature, or the cause why there is none, in words for a person and without secrets.
using SignOutcome = std::expected<Signature, std::string>;

/// Port: makes the signature. A coroutine on the protocol's executor, which must not block it (see
/// HaNode::blocking).
///
/// It cannot be cancelled: what it returns after its time-out is destroyed. While too many calls hang behind their
/// time-out (SignerConfig::max_overdue_sign_calls), nothing new is claimed; calls that bound themselves do not count
/// (SignCall::bounds_itself). An exception counts as a failure with its text.
using SignFunction = std::function<asio::awaitable<SignOutcome>(SignRequest)>;

/// Whether making a signature can be noticed outside this process.
enum class SignEffects : std::uint8_t {
  kOutside,  ///< it can: another process is asked, or sees the signature. The duty is claimed first
  kNone,     ///< it cannot: a local key. The signature may be made first and destroyed if the duty is not won, which
             ///< saves a round trip to the store
};

/// What the signatures of a sign function are.
enum class SignatureKind : std::uint8_t {
  kCallers,       ///< whatever the caller makes; checked only where SignerConfig::check_signatures asks for it
  kValidatorKey,  ///< made by the validator's secp256k1 key: what another attempt recorded is given only if it is, too
};

/// One thing to sign, and with what.
struct SignCall {
  SignRequest request;
  SignFunction sign_function;
  SignEffects effects = SignEffects::kOutside;
  SignatureKind signatures = SignatureKind::kCallers;
  /// Whether a call always returns within a time of its own, and holds no thread while it waits. Then one that is late
  /// costs other duties nothing, and does not count in SignerConfig::max_overdue_sign_calls.
  bool bounds_itself = false;
};

/// Port: what happened, for counters and histograms. Calls must return at once.
class Metrics {
 public:
  enum class Event : std::uint8_t {
    kSigningSuccess,
    kDutyAlreadySigned,
    kSlashingProtection,
    kOutsideWatermark,
    kSigningError,
    kLockAcquired,
    kLockLost,
    kInDoubt,
    kTakenOver,
    kReplaced,
    kLateSignatureDestroyed,
    kStoreError,
    kRecordedReturned,
    kHeldBack,
    kUnhealthy,
  };

  /// What an attempt's time goes to.
  enum class Step : std::uint8_t { kClaim, kSign, kRecord };

  virtual ~Metrics() = default;
  virtual void count(Event, DutyType) {}
  /// Also of a step that failed.
  virtual void step_duration(Step, std::chrono::nanoseconds, DutyType) {}
  /// From the start of the attempt to its successful end.
  virtual void signing_duration(std::chrono::nanoseconds, DutyType) {}
  virtual void removed(Removal, std::size_t) {}
  /// `kind`: `claim`, `claim_signed`, `look`, `takeover`, `record`, `release` or `confirm_stored`.
  virtual void batch_sent(std::string_view kind, std::size_t size) { (void)kind, (void)size; }
};

/// Port: whether the signature is this validator's for this message hash. Must not throw.
using SignatureCheck = std::function<bool(const EthAddress& validator, const MessageHash&, const Signature&)>;

/// Everything that a signer needs from outside. The executor must run on one thread (or be a strand).
struct Ports {
  asio::any_io_executor executor;
  std::shared_ptr<Clock> clock;
  std::shared_ptr<RandomSource> random;
  std::shared_ptr<Store> store;
  std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  /// Of this process, where several of its signers share a node id and a store, and so are one node; nullopt: the
  /// signer makes one of its own.
  std::optional<Incarnation> incarnation = std::nullopt;
  /// Asked before the signature of another attempt is given, and before one of a caller is recorded
  /// (SignerConfig::check_signatures, SignCall::signatures, SignerConfig::return_recorded).
  SignatureCheck is_signature_of = {};
  /// Runs is_signature_of, which takes some 0.1 ms; empty: `executor`.
  asio::any_io_executor check_executor = {};
  /// For programs of this project: slots of protected duties that are refused before anything is written; null: none.
  std::shared_ptr<const PlausibleSlots> plausible_slots = nullptr;
  /// For programs of this project: whether this node should take duties; null: it is not checked.
  std::shared_ptr<const NodeHealth> health = nullptr;
};

}  // namespace hasigner
