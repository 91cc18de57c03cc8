#pragma once

#include <string>

#include "hasigner/crypto/json.hpp"

namespace hasigner::service {

/// Writes a value as compact JSON; numbers keep their digits. Not for values that hold secrets.
[[nodiscard]] std::string json_text(const JsonValue& value);

/// Writes a text as a JSON string.
[[nodiscard]] std::string json_quoted(std::string_view text);

}  // namespace hasigner::service
