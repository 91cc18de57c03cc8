#pragma once

#include <napi.h>

namespace hasigner::node {

// Functions that need no environment of the addon.

/// (url, up, to | undefined) → a promise of the names of the migrations that were applied.
[[nodiscard]] Napi::Value migrate(const Napi::CallbackInfo& arguments);

/// () → the statement that checks a session. (row) → why its row refuses the session, or null.
[[nodiscard]] Napi::Value check_session(const Napi::CallbackInfo& arguments);

/// (rollup, validator, slot, duty type, block index, hash, node id, block number, checkpoint number) → what is wrong
/// with them, or null.
[[nodiscard]] Napi::Value check_duty(const Napi::CallbackInfo& arguments);

/// () → the SQL of this project's own tables.
[[nodiscard]] Napi::Value own_schema(const Napi::CallbackInfo& arguments);

}  // namespace hasigner::node
