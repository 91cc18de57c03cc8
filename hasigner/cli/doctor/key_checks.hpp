#pragma once

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/doctor/store_facts.hpp"
#include "hasigner/cli/settings.hpp"

namespace hasigner::cli::doctor {

/// Checks the keys that the settings name, what the store knows of them, and their remote signers.
[[nodiscard]] Group check_keys(const Settings& settings, const StoreFacts& facts);

}  // namespace hasigner::cli::doctor
