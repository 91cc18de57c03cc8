#include "hasigner/cli/signing_refusal.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

namespace hasigner::cli {

namespace {

struct Describe {
  SigningRefusal refusal;

  SigningRefusal operator()(const DutyAlreadySigned& e) && {
    refusal.code = ExitCode::kDutyAlreadySigned;
    refusal.signed_by = e.signed_by;
    if (e.signed_by == kUnknownTimeout) {
      refusal.signed_by.clear();
      refusal.message = e.duty.describe() + " is held by another node that has not signed it in time; ask again later";
    }
    refusal.signature_unusable = e.has_unusable_signature;
    if (e.signature) {
      refusal.signature = e.signature->to_string();
      refusal.message += " with the same data; the recorded signature is " + refusal.signature;
    }
    return std::move(refusal);
  }
  SigningRefusal operator()(const SlashingProtection& e) && {
    refusal.code = ExitCode::kSlashingProtection;
    refusal.signed_by = e.signed_by;
    refusal.existing_message_hash = e.existing_hash;
    refusal.message += " (by node " + printable(e.signed_by, 300) + "); signing this would be slashed";
    return std::move(refusal);
  }
  SigningRefusal operator()(const OutsideWatermark& e) && {
    refusal.code = ExitCode::kOutsideWatermark;
    refusal.watermark = e.watermark.to_string();
    return std::move(refusal);
  }
  SigningRefusal operator()(const SigningLockLost&) && { return with(ExitCode::kLockLostOrInDoubt); }
  SigningRefusal operator()(const InDoubt&) && { return with(ExitCode::kLockLostOrInDoubt); }
  SigningRefusal operator()(const Unavailable&) && { return with(ExitCode::kUnavailable); }
  SigningRefusal operator()(const NodeIdTaken&) && { return with(ExitCode::kUsage); }
  SigningRefusal operator()(const InvalidInput&) && { return with(ExitCode::kUsage); }
  SigningRefusal operator()(const SignFunctionFailed&) && { return with(ExitCode::kFailure); }
  SigningRefusal operator()(const SignTimedOut&) && { return with(ExitCode::kFailure); }
  SigningRefusal operator()(const NotRunning&) && { return with(ExitCode::kFailure); }
  SigningRefusal operator()(const Overloaded&) && { return with(ExitCode::kFailure); }
  SigningRefusal operator()(const Unhealthy&) && { return with(ExitCode::kFailure); }

 private:
  SigningRefusal with(ExitCode code) {
    refusal.code = code;
    return std::move(refusal);
  }
};

}  // namespace

SigningRefusal refusal_of(const SigningError& error) {
  SigningRefusal refusal{.kind = std::string(kind_name(error)), .message = printable(message(error), 2000)};
  return std::visit([&](const auto& e) { return Describe{std::move(refusal)}(e); }, error);
}

ExitCode report_refusal(const SigningRefusal& refusal, Console& console, Output output) {
  console.err << "ha-signer: " << refusal.message << '\n';
  if (output == Output::kText) return refusal.code;
  nlohmann::ordered_json error = {{"kind", refusal.kind}, {"message", refusal.message}};
  const auto add = [&error](const char* name, const std::string& value) {
    if (!value.empty()) error[name] = value;
  };
  add("signed_by", refusal.signed_by);
  add("signature", refusal.signature);
  add("existing_message_hash", refusal.existing_message_hash);
  if (refusal.signature_unusable) error["signature_unusable"] = true;
  add("watermark", refusal.watermark);
  print_json(console.out, {{"error", error}, {"exit_code", static_cast<int>(refusal.code)}});
  return refusal.code;
}

}  // namespace hasigner::cli
