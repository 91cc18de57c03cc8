#include "hasigner/service/duty_json.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/service/log.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestShown = 300;

/// Other programs may have written any text into the table.
ordered_json text(const std::string& value) {
  return printable(value, kLongestShown);
}
ordered_json text_or_null(const std::string& value) {
  return value.empty() ? ordered_json(nullptr) : text(value);
}
ordered_json time_or_null(const std::string& value) {
  return value.empty() ? ordered_json(nullptr) : text(iso_time(value));
}
ordered_json bound_or_null(const std::optional<Slot>& bound) {
  return bound ? ordered_json(bound->to_string()) : ordered_json(nullptr);
}

}  // namespace

ordered_json duty_key_json(const DutyKey& key) {
  return {{"rollup", key.rollup.to_string()},
          {"validator", key.validator.to_string()},
          {"slot", key.slot.to_string()},
          {"dutyType", to_string(key.duty_type)},
          {"blockIndexWithinCheckpoint", key.block_index}};
}

ordered_json duty_json(const DutyEntry& entry) {
  return {{"rollup", text(entry.rollup)},
          {"validator", text(entry.validator)},
          {"slot", text(entry.slot)},
          {"dutyType", text(entry.duty_type)},
          {"blockIndexWithinCheckpoint", text(entry.block_index)},
          {"blockNumber", text(entry.block_number)},
          {"checkpointNumber", text_or_null(entry.checkpoint_number)},
          {"status", text(entry.status)},
          {"messageHash", text(entry.message_hash)},
          {"signature", text_or_null(entry.signature)},
          {"nodeId", text(entry.node_id)},
          {"takenOver", LockToken(entry.lock_token).kind() == TokenKind::kTakenOver},
          {"startedAt", time_or_null(entry.started_at)},
          {"completedAt", time_or_null(entry.completed_at)},
          {"expiresAt", time_or_null(entry.expires_at)}};
}

ordered_json node_json(const NodeEntry& entry) {
  return {{"nodeId", text(entry.node_id)},
          {"incarnation", text(entry.incarnation)},
          {"heartbeatAt", time_or_null(entry.heartbeat_at)},
          {"alive", entry.alive},
          {"earlierIncarnations", entry.earlier_incarnations}};
}

ordered_json watermark_json(const WatermarkEntry& entry) {
  return {{"rollup", text(entry.rollup)},
          {"validator", text(entry.validator)},
          {"dutyType", text(entry.duty_type)},
          {"low", bound_or_null(entry.watermarks.low)},
          {"high", bound_or_null(entry.watermarks.high)},
          {"updatedAt", time_or_null(entry.updated_at)}};
}

ordered_json duty_problem_json(const DutyProblem& entry) {
  const auto& problem = entry.problem;
  return {{"kind", problem.kind},
          {"duty", duty_key_json(*problem.duty)},
          {"detail", problem.detail},
          {"client", entry.client},
          {"firstAt", iso_text(entry.first_at)},
          {"lastAt", iso_text(entry.last_at)},
          {"count", entry.count},
          {"signedByNode", text_or_null(problem.signed_by_node)},
          {"existingMessageHash", text_or_null(problem.existing_message_hash)},
          {"attemptedMessageHash", text_or_null(problem.attempted_message_hash)}};
}

}  // namespace hasigner::service
