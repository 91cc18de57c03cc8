#pragma once

#include <string>

#include "hasigner/crypto/json.hpp"

namespace hasigner::service {

/// Writes a value as compact JSON. Numbers keep their digits: the JSON library, which writes everything else here,
/// would round long ones. Not for values that hold secrets.
[[nodiscard]] std::string json_text(const JsonValue& value);

}  // namespace hasigner::service
