#pragma once

#include <string>

#include "hasigner/cli/command.hpp"

namespace hasigner::cli {

/// Goes on only if --yes was given or the person at the terminal says so.
///
/// Errors: CommandError when nobody can be asked, or the answer is no.
void require_consent(const Console& console, bool yes, const std::string& what_happens);

}  // namespace hasigner::cli
