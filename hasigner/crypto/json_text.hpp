#pragma once

#include <string>

#include "hasigner/crypto/json.hpp"

namespace hasigner {

/// Writes a value as compact JSON. Numbers keep their digits: the JSON library, which writes everything else,
/// would round long ones. Not for values that hold secrets.
[[nodiscard]] std::string json_text(const JsonValue& value);

}  // namespace hasigner
