#include "hasigner/cli/exit_code.hpp"

#include <array>

namespace hasigner::cli {

namespace {

constexpr std::array kExitCodes = {
    ExitCodeMeaning{ExitCode::kSuccess, "success", "success"},
    ExitCodeMeaning{ExitCode::kFailure, "failure", "any other failure"},
    ExitCodeMeaning{ExitCode::kUsage, "usage",
                    "wrong usage or configuration, or a database that must not be used as it is"},
    ExitCodeMeaning{ExitCode::kDutyAlreadySigned, "duty_already_signed",
                    "the duty is already signed with the same data"},
    ExitCodeMeaning{ExitCode::kSlashingProtection, "slashing_protection",
                    "the duty is signed with other data; also a conflict found by import"},
    ExitCodeMeaning{ExitCode::kLockLostOrInDoubt, "in_doubt", "the lock was lost, or the store did not confirm"},
    ExitCodeMeaning{ExitCode::kUnavailable, "unavailable",
                    "the store is unavailable: not reached, or it refused the connection; nothing was written"},
    ExitCodeMeaning{ExitCode::kOutsideWatermark, "outside_watermark", "the slot is below or above a watermark"},
};

ExitCode code_of(StoreErrorKind kind) {
  switch (kind) {
    case StoreErrorKind::kUnavailable: return ExitCode::kUnavailable;
    case StoreErrorKind::kInDoubt: return ExitCode::kLockLostOrInDoubt;
    case StoreErrorKind::kIncompatible: return ExitCode::kUsage;
  }
  return ExitCode::kFailure;
}

ExitCode code_of(StartupError::Kind kind) {
  switch (kind) {
    case StartupError::Kind::kUnavailable: return ExitCode::kUnavailable;
    case StartupError::Kind::kConfiguration:
    case StartupError::Kind::kIncompatible: return ExitCode::kUsage;
  }
  return ExitCode::kFailure;
}

std::string kind_of(StartupError::Kind kind) {
  return kind == StartupError::Kind::kIncompatible ? "incompatible" : "";
}
std::string kind_of(StoreErrorKind kind) {
  return kind == StoreErrorKind::kIncompatible ? "incompatible" : "";
}

}  // namespace

std::span<const ExitCodeMeaning> exit_codes() {
  return kExitCodes;
}

CommandError::CommandError(ExitCode code, const std::string& sentence, std::string kind)
    : std::runtime_error(sentence), code_(code), kind_(std::move(kind)) {
  if (kind_.empty()) kind_ = kExitCodes.at(static_cast<std::size_t>(code)).kind;
}

CommandError::CommandError(const StoreError& error)
    : CommandError(code_of(error.kind), error.reason, kind_of(error.kind)) {}

CommandError::CommandError(const StartupError& error)
    : CommandError(code_of(error.kind()), error.what(), kind_of(error.kind())) {}

}  // namespace hasigner::cli
