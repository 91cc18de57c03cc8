#pragma once

#include <nlohmann/json_fwd.hpp>

#include "hasigner/protection/history.hpp"

namespace hasigner::service {

// How the service shows what a store holds; numbers of slots and blocks are decimal text, since JavaScript's numbers
// are too small for them. Lock tokens are never shown: they are what a row is held by.

[[nodiscard]] nlohmann::ordered_json duty_key_json(const DutyKey& key);
[[nodiscard]] nlohmann::ordered_json duty_json(const DutyEntry& entry);
[[nodiscard]] nlohmann::ordered_json node_json(const NodeEntry& entry);
[[nodiscard]] nlohmann::ordered_json watermark_json(const WatermarkEntry& entry);

}  // namespace hasigner::service
