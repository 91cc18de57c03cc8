#include "hasigner/protection/errors.hpp"

#include <exception>

#include "hasigner/duty/assert.hpp"

namespace hasigner {

namespace {

/// `Duty BLOCK_PROPOSAL for slot 5`, the words that users of the published package know.
std::string duty_for_slot(const DutyKey& duty) {
  return std::string(to_string(duty.duty_type)) + " for slot " + duty.slot.to_string();
}

std::string shortened(std::string_view hash) {
  return std::string(hash.substr(0, 10)) + "...";
}

struct Sentence {
  std::string operator()(const DutyAlreadySigned& e) const {
    return "Duty " + duty_for_slot(e.duty) + " already signed by node " + e.signed_by +
           (e.has_unusable_signature ? "; its row holds no signature of validator " + e.duty.validator.to_string() +
                                           " for this data, so none is given"
                                     : "");
  }
  std::string operator()(const SlashingProtection& e) const {
    return "Slashing protection: " + duty_for_slot(e.duty) +
           " was already signed with different data. Existing: " + shortened(e.existing_hash) +
           ", Attempted: " + shortened(e.attempted_hash.to_string());
  }
  std::string operator()(const OutsideWatermark& e) const {
    const bool low = e.bound == OutsideWatermark::Bound::kLow;
    return duty_for_slot(e.duty) + " is " + (low ? "at or below the low watermark " : "above the high watermark ") +
           e.watermark.to_string() + " of validator " + e.duty.validator.to_string() + "; it will not be signed";
  }
  std::string operator()(const SigningLockLost& e) const {
    return "Lock lost: " + duty_for_slot(e.duty) + " was no longer held by node " + e.node_id + " (" + e.reason +
           "); its signature was destroyed";
  }
  std::string operator()(const InDoubt& e) const {
    return "In doubt: the store did not confirm " + duty_for_slot(e.duty) + " (" + e.reason +
           "); its signature was destroyed, ask again to learn what was recorded";
  }
  std::string operator()(const Unavailable& e) const { return "Store unavailable, nothing was signed: " + e.reason; }
  std::string operator()(const SignFunctionFailed& e) const { return "Signing failed: " + e.cause; }
  std::string operator()(const SignTimedOut& e) const {
    return "Signing timed out after " + std::to_string(e.timeout.count()) + "ms";
  }
  std::string operator()(const NodeIdTaken& e) const {
    return "Node id " + e.node_id + " is in use by another process: " + e.reason +
           "; give every node its own id, and start this one again when the other has stopped";
  }
  std::string operator()(const NotRunning&) const {
    return "The signer is not running; call start() first, and do not sign after stop()";
  }
  std::string operator()(const Overloaded& e) const {
    switch (e.by) {
      case Overloaded::By::kAttempts:
        return "Too many attempts in flight (at most " + std::to_string(e.limit) + "); try again later";
      case Overloaded::By::kHangingSignCalls:
        return "Nothing was claimed: " + std::to_string(e.limit) +
               " calls of the sign function have not returned since their time-out; see why the signer hangs";
    }
    HASIGNER_ASSERT(false);
  }
  std::string operator()(const Unhealthy& e) const {
    return "This node takes no new duties, since its health check fails: " + e.reason;
  }
  std::string operator()(const InvalidInput& e) const { return e.message(); }
};

struct KindName {
  std::string_view operator()(const DutyAlreadySigned&) const { return "duty_already_signed"; }
  std::string_view operator()(const SlashingProtection&) const { return "slashing_protection"; }
  std::string_view operator()(const OutsideWatermark&) const { return "outside_watermark"; }
  std::string_view operator()(const SigningLockLost&) const { return "signing_lock_lost"; }
  std::string_view operator()(const InDoubt&) const { return "in_doubt"; }
  std::string_view operator()(const Unavailable&) const { return "unavailable"; }
  std::string_view operator()(const SignFunctionFailed&) const { return "sign_function_failed"; }
  std::string_view operator()(const SignTimedOut&) const { return "sign_timed_out"; }
  std::string_view operator()(const NodeIdTaken&) const { return "node_id_taken"; }
  std::string_view operator()(const NotRunning&) const { return "not_running"; }
  std::string_view operator()(const Overloaded&) const { return "overloaded"; }
  std::string_view operator()(const Unhealthy&) const { return "unhealthy"; }
  std::string_view operator()(const InvalidInput&) const { return "invalid_input"; }
};

}  // namespace

std::string message(const SigningError& error) {
  return std::visit(Sentence{}, error);
}

std::string_view kind_name(const SigningError& error) {
  return std::visit(KindName{}, error);
}

std::string describe_current_exception(std::string_view thrower) {
  try {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return std::string(thrower) + " threw something that is not a std::exception";
  }
}

}  // namespace hasigner
