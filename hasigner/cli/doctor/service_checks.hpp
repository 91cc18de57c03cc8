#pragma once

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/doctor/store_facts.hpp"
#include "hasigner/cli/settings.hpp"

namespace hasigner::cli::doctor {

/// Checks where the service would listen, its certificate, and its clients.
[[nodiscard]] Group check_service(const Settings& settings, const StoreFacts& facts);

}  // namespace hasigner::cli::doctor
