#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hasigner/protection/config.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner {

struct Protocol;
class Cleanup;

/// A signature that may be published.
struct SignedDuty {
  Signature signature;
  /// Another attempt made and recorded it, for the same data (SignerConfig::return_recorded).
  bool is_recorded = false;

  operator const Signature&() const { return signature; }
};

/// A duty that a caller of the step API holds.
struct HeldDuty {
  Duty duty;
  LockToken lock_token;
};

/// Signs each duty at most once in the whole cluster (docs/protocol.md), and as long as one node lives, once.
///
/// Errors come as values; see errors.hpp for what each means. An InvalidInput is returned before anything is written.
/// Thread safety: the coroutines may be awaited on any executor; the blocking forms may be called from any thread but
/// the protocol's own. Must outlive its calls; destroy after stop().
class HaSigner {
 public:
  /// Throws std::invalid_argument with the sentence of an InvalidInput when the configuration is wrong.
  HaSigner(SignerConfig config, Ports ports);
  ~HaSigner();
  HaSigner(const HaSigner&) = delete;
  HaSigner& operator=(const HaSigner&) = delete;

  /// Registers this node and starts the heartbeat and the clean-up in the background.
  ///
  /// Errors: NodeIdTaken, Unavailable (by `timeout`).
  [[nodiscard]] asio::awaitable<SignResult<std::monostate>> start(milliseconds timeout = milliseconds(15'000));

  /// Refuses what comes, finishes or refuses what is in flight, gives the lease back and closes the store. Returns
  /// within a few seconds at most; harmless when called twice or without start().
  [[nodiscard]] asio::awaitable<void> stop();

  /// Signs one duty, protected; duty types that need no protection (AUTH_REQUEST, TXS) are signed directly.
  ///
  /// Where `effects` is kNone and the store can, the signature is made first and its row is written as *signed* at
  /// once: one round trip instead of two. The signature is returned only when that is confirmed, and destroyed
  /// otherwise.
  ///
  /// Where another attempt has signed the duty with the same data, and the configuration asks for that, the result is
  /// the signature that it recorded: confirmed by a write of our own, and checked to be the validator's.
  [[nodiscard]] asio::awaitable<SignResult<SignedDuty>> sign_with_protection(
      SignRequest request, SignFunction sign_function, SignEffects effects = SignEffects::kOutside);

  /// Signs many duties at once; results are in the order of the calls.
  [[nodiscard]] asio::awaitable<std::vector<SignResult<SignedDuty>>> sign_many(std::vector<SignCall> calls);

  // The steps on their own. What happens between them is the caller's to get right: a signature must not be released
  // unless record_success() has returned without an error.

  /// Claims the duty for the caller, or refuses as sign_with_protection() does.
  [[nodiscard]] asio::awaitable<SignResult<HeldDuty>> check_and_record(SignRequest request);
  /// Records the signature; only after this may it be released.
  [[nodiscard]] asio::awaitable<SignResult<std::monostate>> record_success(HeldDuty held, Signature signature);
  /// Gives the duty up, so that another attempt may claim it. False: it was no longer held.
  [[nodiscard]] asio::awaitable<SignResult<bool>> delete_duty(HeldDuty held);

  // The same for callers without coroutines.
  [[nodiscard]] SignResult<std::monostate> start_blocking(milliseconds timeout = milliseconds(15'000));
  void stop_blocking();
  [[nodiscard]] SignResult<SignedDuty> sign_with_protection_blocking(SignRequest request, SignFunction sign_function,
                                                                     SignEffects effects = SignEffects::kOutside);
  [[nodiscard]] std::vector<SignResult<SignedDuty>> sign_many_blocking(std::vector<SignCall> calls);
  [[nodiscard]] SignResult<HeldDuty> check_and_record_blocking(SignRequest request);
  [[nodiscard]] SignResult<std::monostate> record_success_blocking(HeldDuty held, Signature signature);
  [[nodiscard]] SignResult<bool> delete_duty_blocking(HeldDuty held);

  [[nodiscard]] const NodeId& node_id() const;
  /// Whether the node may claim: registered, and no other process under its node id. May be asked from any thread.
  [[nodiscard]] bool healthy() const;
  /// Whether the store has confirmed the node's lease lately, so that an attempt would not have to wait for it. To be
  /// asked on the protocol's executor.
  [[nodiscard]] bool lease_runs() const;
  [[nodiscard]] std::size_t attempts_in_flight() const;
  /// How many requests wait to be sent to the store. To be asked on the protocol's executor.
  [[nodiscard]] std::size_t requests_queued() const;

 private:
  std::shared_ptr<Protocol> protocol_;
  std::shared_ptr<Cleanup> cleanup_;
};

}  // namespace hasigner
