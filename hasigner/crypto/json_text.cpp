#include "hasigner/crypto/json_text.hpp"

#include <array>
#include <string_view>

namespace hasigner {

namespace {

void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// Recurses at most JsonValue::kMaxDepth deep.
void append(std::string& out, const JsonValue& value) {  // NOLINT(misc-no-recursion)
  switch (value.kind()) {
    case JsonValue::Kind::kNull: out += "null"; return;
    case JsonValue::Kind::kBool: out += value.boolean() ? "true" : "false"; return;
    case JsonValue::Kind::kNumber: out += value.text(); return;
    case JsonValue::Kind::kString: append_quoted(out, value.text()); return;
    case JsonValue::Kind::kArray: {
      std::string_view separator = "[";
      for (const auto& item : value.items()) {
        out += separator;
        append(out, item);
        separator = ",";
      }
      out += value.items().empty() ? "[]" : "]";
      return;
    }
    case JsonValue::Kind::kObject: {
      std::string_view separator = "{";
      for (const auto& [name, member] : value.members()) {
        out += separator;
        append_quoted(out, name);
        out += ':';
        append(out, member);
        separator = ",";
      }
      out += value.members().empty() ? "{}" : "}";
      return;
    }
  }
}

}  // namespace

std::string json_text(const JsonValue& value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace hasigner
