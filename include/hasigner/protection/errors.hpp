#pragma once

#include <expected>
#include <optional>
#include <string>
#include <variant>

#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

/// Refused: the duty has been signed with the same data, by this node or another one, or another one is still at it.
struct DutyAlreadySigned {
  DutyKey duty;
  std::string signed_by;  ///< node id; `unknown (timeout)` when another node held the duty for too long
  /// What that node recorded, so that the caller may publish it again; nullopt while it is not known to be durable.
  std::optional<Signature> signature;
  /// The row's signature cannot be read or, where it was checked, is not the validator's for this data; none is given.
  bool has_unusable_signature = false;
};

/// Refused: the duty has been signed with other data. Signing this data would be slashed.
struct SlashingProtection {
  DutyKey duty;
  std::string existing_hash;
  MessageHash attempted_hash;
  std::string signed_by;
};

/// Refused: the slot is outside what a watermark allows for this validator and duty type.
struct OutsideWatermark {
  enum class Bound : std::uint8_t { kLow, kHigh };
  DutyKey duty;
  Bound bound = Bound::kLow;
  Slot watermark;
};

/// The row was no longer ours when the signature was to be recorded; the signature has been destroyed.
struct SigningLockLost {
  DutyKey duty;
  std::string node_id;
  std::string reason;
};

/// A record or a signed claim was sent and never confirmed; the signature has been destroyed, and a row that may be
/// signed was left as it is.
struct InDoubt {
  DutyKey duty;
  std::string reason;
};

/// The store did not answer, or does not accept what it is asked; no row was signed, and no signature was released.
struct Unavailable {
  std::string reason;
};

/// The sign function failed; the duty was released if it was claimed.
struct SignFunctionFailed {
  std::string cause;
};

/// The sign function took too long; the duty was released if it was claimed, and its late signature will be destroyed.
struct SignTimedOut {
  milliseconds
      timeout{};  ///< the time that the call had: its own time-out, or less where the attempt's deadline ended it
};

/// Another process has registered this node id; this one must not claim any more.
struct NodeIdTaken {
  std::string node_id;
  std::string reason;
};

/// The signer was stopped, or has not been started.
struct NotRunning {};

/// Too many attempts are in flight, or too many calls of sign functions hang; nothing was claimed.
struct Overloaded {
  enum class By : std::uint8_t { kAttempts, kHangingSignCalls };
  std::size_t limit = 0;
  By by = By::kAttempts;
};

/// This node takes no new duties, since a check of its health fails; nothing was claimed.
struct Unhealthy {
  std::string reason;
};

using SigningError =
    std::variant<DutyAlreadySigned, SlashingProtection, OutsideWatermark, SigningLockLost, InDoubt, Unavailable,
                 SignFunctionFailed, SignTimedOut, NodeIdTaken, NotRunning, Overloaded, Unhealthy, InvalidInput>;

/// One sentence for a person: what happened, to what, and what it means.
[[nodiscard]] std::string message(const SigningError& error);

/// A short name of the kind, stable: `duty_already_signed`, `slashing_protection` and so on.
[[nodiscard]] std::string_view kind_name(const SigningError& error);

template <class T>
using SignResult = std::expected<T, SigningError>;

/// What the exception that is being handled says. Must be called by a handler; `thrower`: who threw it.
[[nodiscard]] std::string describe_current_exception(std::string_view thrower);

inline constexpr std::string_view kUnknownTimeout = "unknown (timeout)";

}  // namespace hasigner
