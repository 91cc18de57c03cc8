#pragma once

#include <string>

#include "hasigner/cli/command.hpp"

namespace hasigner::cli {

enum class Consent : std::uint8_t { kAsk, kGiven };

/// Adds the flag `--yes`.
void add_yes_flag(CLI::App& app, Consent& consent, const std::string& meaning = "Do not ask");

/// Goes on only if consent was given, or the person at the terminal gives it.
///
/// Errors: CommandError when there is no terminal to ask on, or the answer is no.
void require_consent(const Console& console, Consent consent, const std::string& what_happens);

}  // namespace hasigner::cli
