#include "hasigner/cli/confirmation.hpp"

#include <CLI/CLI.hpp>

namespace hasigner::cli {

void add_yes_flag(CLI::App& app, Consent& consent, const std::string& meaning) {
  app.add_flag_callback(
      "-y,--yes", [&consent] { consent = Consent::kGiven; }, meaning);
}

void require_consent(const Console& console, Consent consent, const std::string& what_happens) {
  if (consent == Consent::kGiven) return;
  if (!console.can_ask)
    throw CommandError(ExitCode::kUsage, what_happens + ". Repeat with --yes if that is meant", "consent");
  if (!console.confirm(what_happens + ". Go on?"))
    throw CommandError(ExitCode::kFailure, "nothing was changed", "consent");
}

}  // namespace hasigner::cli
