#pragma once

#include <array>
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
    DutyField{"signature", &DutyEntry::signature, true},
    DutyField{"node_id", &DutyEntry::node_id},
    DutyField{"lock_token", &DutyEntry::lock_token},
    DutyField{"started_at", &DutyEntry::started_at, false, true},
    DutyField{"completed_at", &DutyEntry::completed_at, true, true},
    DutyField{"expires_at", &DutyEntry::expires_at, true, true},
};

/// For tables, where microseconds are noise.
[[nodiscard]] std::string without_fraction(std::string_view time);

/// A duty as a JSON object in one line.
[[nodiscard]] std::string duty_json(const DutyEntry& entry);

/// Which bound a watermark has: a number, or `none`.
[[nodiscard]] std::string bound_text(const std::optional<Slot>& bound);

}  // namespace hasigner::cli
