#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// A JSON text as it was written, for documents that decide what is signed or that hold keys.
///
/// Numbers keep their digits, so no number is rounded. A member that occurs twice is refused, since readers differ on
/// which one counts. Texts are wiped when the value is destroyed, and errors do not show them.
/// Source: RFC 8259.
class JsonValue {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  struct Member;

  /// How deep arrays and objects may be nested.
  static constexpr std::size_t kMaxDepth = 64;
  /// How many values one text may hold: a value takes many times the memory of its two characters.
  static constexpr std::size_t kMaxValues = 500'000;

  JsonValue();
  ~JsonValue();
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(JsonValue&&) noexcept;
  JsonValue(const JsonValue&) = delete;
  JsonValue& operator=(const JsonValue&) = delete;

  /// Errors: InvalidInput naming `field`, and the line and column of what is not JSON.
  [[nodiscard]] static Parsed<JsonValue> parse(std::string_view text, std::string_view field);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is(Kind kind) const { return kind_ == kind; }
  [[nodiscard]] bool boolean() const { return boolean_; }
  /// A string's characters without escapes, in UTF-8; a number's as written. Empty for other kinds.
  [[nodiscard]] std::string_view text() const { return text_.view(); }
  [[nodiscard]] const std::vector<JsonValue>& items() const { return items_; }
  /// As ordered in the text.
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  /// The member of an object. Returns null when there is none.
  [[nodiscard]] const JsonValue* find(std::string_view name) const;

  template <class Stream>
  friend Stream& operator<<(Stream&, const JsonValue&) = delete;

 private:
  friend class JsonReader;

  Kind kind_ = Kind::kNull;
  bool boolean_ = false;
  SecretText text_;
  std::vector<JsonValue> items_;
  std::vector<Member> members_;
};

struct JsonValue::Member {
  std::string name;
  JsonValue value;
};

/// `a string`, `an object` and so on, for error messages.
[[nodiscard]] std::string_view to_string(JsonValue::Kind kind);

}  // namespace hasigner
