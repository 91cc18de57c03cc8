#pragma once

#include "hasigner/cli/settings.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/factory/open_store.hpp"

namespace hasigner::cli {

/// The signer's configuration, every value checked against the others.
///
/// Errors: CommandError as for Settings; node id and rollup are required.
[[nodiscard]] SignerConfig signer_config(const Settings& settings);
/// The same for a node id that does not come from the settings.
[[nodiscard]] SignerConfig signer_config(const Settings& settings, NodeId node_id);

/// How to reach the store. Errors: CommandError when the database URL is missing or needs a consent that is not given.
[[nodiscard]] StoreSettings store_settings(const Settings& settings);

/// Everything that a signer is made from. Errors: CommandError.
[[nodiscard]] HaSignerConfig ha_signer_config(const Settings& settings);

/// How long the claims of an unhealthy node may be held back, beside the claim delay.
[[nodiscard]] milliseconds longest_health_delay(const Settings& settings);

/// Checks the settings against each other, whether or not node id and rollup are set.
void check_together(const Settings& settings);

}  // namespace hasigner::cli
