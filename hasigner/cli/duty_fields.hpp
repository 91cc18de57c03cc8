#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "hasigner/protection/history.hpp"

namespace hasigner::cli {

/// A column of validator_duties as programs and files get it.
struct DutyField {
  std::string_view name;  ///< as in the table
  std::string DutyEntry::*member = nullptr;
  bool nullable = false;
  bool is_time = false;
};

inline constexpr std::array kDutyFields = {
    DutyField{"rollup_address", &DutyEntry::rollup},
    DutyField{"validator_address", &DutyEntry::validator},
    DutyField{"slot", &DutyEntry::slot},
    DutyField{"block_number", &DutyEntry::block_number},
    DutyField{"checkpoint_number", &DutyEntry::checkpoint_number},
    DutyField{"block_index_within_checkpoint", &DutyEntry::block_index},
    DutyField{"duty_type", &DutyEntry::duty_type},
    DutyField{"status", &DutyEntry::status},
    DutyField{"message_hash", &DutyEntry::message_hash},
    DutyField{.name = "signature", .member = &DutyEntry::signature, .nullable = true},
    DutyField{"node_id", &DutyEntry::node_id},
    DutyField{"lock_token", &DutyEntry::lock_token},
    DutyField{.name = "started_at", .member = &DutyEntry::started_at, .is_time = true},
    DutyField{.name = "completed_at", .member = &DutyEntry::completed_at, .nullable = true, .is_time = true},
    DutyField{.name = "expires_at", .member = &DutyEntry::expires_at, .nullable = true, .is_time = true},
};

/// A watermark as a JSON object.
[[nodiscard]] nlohmann::ordered_json watermark_json(const WatermarkEntry& entry);

/// A bound as JSON: a text, or null where there is none.
[[nodiscard]] nlohmann::ordered_json bound_json(const std::optional<Slot>& bound);

/// A time as tables for people show it: without microseconds.
[[nodiscard]] std::string without_fraction(std::string_view time);

/// A duty as a JSON object.
[[nodiscard]] nlohmann::ordered_json duty_json(const DutyEntry& entry);

/// Which bound a watermark has: a number, or `none`.
[[nodiscard]] std::string bound_text(const std::optional<Slot>& bound);

}  // namespace hasigner::cli
