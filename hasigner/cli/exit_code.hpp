#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner::cli {

/// How the program ends; scripts rely on the numbers.
enum class ExitCode : int {
  kSuccess = 0,
  kFailure = 1,  ///< any other failure
  kUsage = 2,    ///< usage, configuration, or a database that this program must not use as it is
  kDutyAlreadySigned = 3,
  kSlashingProtection = 4,  ///< also: a history to import contradicts what is there
  kLockLostOrInDoubt = 5,
  kUnavailable = 6,
  kOutsideWatermark = 7,
};

struct ExitCodeMeaning {
  ExitCode code;
  std::string_view kind;     ///< what `--json` calls it
  std::string_view meaning;  ///< for help and manual
};

/// All of them, in the order of their numbers.
[[nodiscard]] std::span<const ExitCodeMeaning> exit_codes();

/// Ends a command: `what()` is one sentence for standard error; with --json main() also prints it on standard output as
/// {"error": {"kind": …, "message": …}, "exit_code": N}.
class CommandError : public std::runtime_error {
 public:
  /// `kind` is empty for what exit_codes() calls the code.
  CommandError(ExitCode code, const std::string& sentence, std::string kind = {});
  /// Usage: names field, value and what is allowed.
  explicit CommandError(const InvalidInput& input) : CommandError(ExitCode::kUsage, input.message()) {}
  /// Unavailable, in doubt, or a database that must not be used.
  explicit CommandError(const StoreError& error);
  explicit CommandError(const StartupError& error);

  [[nodiscard]] ExitCode code() const { return code_; }
  [[nodiscard]] const std::string& kind() const { return kind_; }

 private:
  ExitCode code_;
  std::string kind_;
};

/// The value of what the user typed. Throws CommandError when it is wrong.
template <class T>
T accepted(Parsed<T> parsed) {
  if (!parsed) throw CommandError(parsed.error());
  return std::move(*parsed);
}

}  // namespace hasigner::cli
