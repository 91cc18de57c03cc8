#pragma once

#include "hasigner/cli/settings.hpp"
#include "hasigner/keys/open_key_store.hpp"

namespace hasigner::cli {

/// Those that key_store_settings() reads.
[[nodiscard]] std::vector<SettingId> key_store_setting_ids();

/// Which keys, and how remote signers are reached. Throws CommandError when no folder of keystore files is named.
[[nodiscard]] keys::KeyStoreSettings key_store_settings(const Settings& settings);

}  // namespace hasigner::cli
