#include "hasigner/cli/duty_fields.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

std::string without_fraction(std::string_view time) {
  return std::string(time.substr(0, time.find('.')));
}

nlohmann::ordered_json duty_json(const DutyEntry& entry) {
  nlohmann::ordered_json object;
  for (const auto& field : kDutyFields) {
    const std::string& text = entry.*field.member;
    if (field.nullable && text.empty()) {
      object[field.name] = nullptr;
    } else {
      object[field.name] = field.is_time ? iso_time(text) : text;
    }
  }
  return object;
}

nlohmann::ordered_json bound_json(const std::optional<Slot>& bound) {
  return bound ? nlohmann::ordered_json(bound->to_string()) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json watermark_json(const WatermarkEntry& entry) {
  return {{"rollup_address", entry.rollup},
          {"validator_address", entry.validator},
          {"duty_type", entry.duty_type},
          {"low_slot", bound_json(entry.watermarks.low)},
          {"high_slot", bound_json(entry.watermarks.high)},
          {"updated_at", iso_time(entry.updated_at)}};
}

std::string bound_text(const std::optional<Slot>& bound) {
  return bound ? bound->to_string() : "none";
}

}  // namespace hasigner::cli
