#include "hasigner/cli/duty_fields.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

std::string without_fraction(std::string_view time) {
  return std::string(time.substr(0, time.find('.')));
}

std::string duty_json(const DutyEntry& entry) {
  nlohmann::ordered_json object;
  for (const auto& field : kDutyFields) {
    const std::string& text = entry.*field.member;
    if (field.nullable && text.empty()) {
      object[field.name] = nullptr;
    } else {
      object[field.name] = field.is_time ? iso_time(text) : text;
    }
  }
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string bound_text(const std::optional<Slot>& bound) {
  return bound ? bound->to_string() : "none";
}

}  // namespace hasigner::cli
