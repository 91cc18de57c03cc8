#pragma once

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/doctor/store_facts.hpp"
#include "hasigner/cli/settings.hpp"
#include "hasigner/factory/open_store.hpp"

namespace hasigner::cli::doctor {

/// Checks the servers, the database and the role of the URL. Nothing is written, and no table is locked.
[[nodiscard]] Group check_postgres(const Settings& settings, const StoreSettings& store, StoreFacts& facts);

/// What the newest rows and the watermarks of a database say. Returns nullopt where it cannot be asked.
[[nodiscard]] std::optional<KnownValidators> validators_in(const Settings& settings, const StoreSettings& store);

}  // namespace hasigner::cli::doctor
