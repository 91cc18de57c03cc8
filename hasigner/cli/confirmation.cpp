#include "hasigner/cli/confirmation.hpp"

namespace hasigner::cli {

void require_consent(const Console& console, bool yes, const std::string& what_happens) {
  if (yes) return;
  if (!console.can_ask)
    throw CommandError(ExitCode::kUsage, what_happens + ". Repeat with --yes if that is meant", "consent");
  if (!console.confirm(what_happens + ". Go on?"))
    throw CommandError(ExitCode::kFailure, "nothing was changed", "consent");
}

}  // namespace hasigner::cli
