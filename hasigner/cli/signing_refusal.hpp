#pragma once

#include <string>

#include "hasigner/cli/command.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/protection/errors.hpp"

namespace hasigner::cli {

/// A refusal or failure of one duty, in the terms of a shell.
struct SigningRefusal {
  ExitCode code = ExitCode::kFailure;
  std::string kind;     ///< stable, for programs
  std::string message;  ///< one sentence
  /// What a program may want to know besides; empty where it is not known.
  std::string signed_by = {};
  std::string signature = {};
  bool signature_unusable = false;
  std::string existing_message_hash = {};
  std::string watermark = {};
};

[[nodiscard]] SigningRefusal refusal_of(const SigningError& error);

/// Prints the sentence on standard error and, for programs, the object on standard output.
[[nodiscard]] ExitCode report_refusal(const SigningRefusal& refusal, Console& console, Output output);

}  // namespace hasigner::cli
