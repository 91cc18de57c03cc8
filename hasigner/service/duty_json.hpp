#pragma once

#include <nlohmann/json_fwd.hpp>

#include "hasigner/protection/history.hpp"
#include "hasigner/service/duty_problems.hpp"

namespace hasigner::service {

// Rows of a store as JSON. Slot and block numbers are decimal text, since JavaScript's numbers are too small for them.
// Lock tokens are not shown: a lock token is the proof that a row is held.

[[nodiscard]] nlohmann::ordered_json duty_key_json(const DutyKey& key);
[[nodiscard]] nlohmann::ordered_json duty_json(const DutyEntry& entry);
[[nodiscard]] nlohmann::ordered_json node_json(const NodeEntry& entry);
[[nodiscard]] nlohmann::ordered_json watermark_json(const WatermarkEntry& entry);
[[nodiscard]] nlohmann::ordered_json duty_problem_json(const DutyProblem& entry);

}  // namespace hasigner::service
