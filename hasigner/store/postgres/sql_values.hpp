#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/duty.hpp"

namespace hasigner::postgres {

/// The statement for a script, which has no parameters: with these values as literals in place of $1, $2 and so on.
///
/// The session must have standard_conforming_strings on, as those of LibpqConnection have.
[[nodiscard]] inline std::string with_literals(std::string_view statement,
                                               std::initializer_list<std::string_view> values) {
  std::string text;
  for (std::size_t i = 0; i < statement.size(); ++i) {
    const bool is_parameter =
        statement[i] == '$' && i + 1 < statement.size() && statement[i + 1] >= '1' && statement[i + 1] <= '9';
    if (!is_parameter) {
      text += statement[i];
      continue;
    }
    const auto number = static_cast<std::size_t>(statement[++i] - '1');
    HASIGNER_ASSERT(number < values.size());
    text += '\'';
    for (const char c : values.begin()[number]) text.append(c == '\'' ? 2 : 1, c);
    text += '\'';
  }
  return text;
}

/// Builds the text of a one-dimensional PostgreSQL array.
class ArrayText {
 public:
  /// For numbers and words of ours: what needs no quotes.
  void add_plain(std::string_view element) {
    begin_element();
    text_ += element;
  }

  template <class Tag, std::size_t N>
  void add_hex(const FixedBytes<Tag, N>& element) {
    begin_element();
    element.append_to(text_);
  }

  template <class Integer>
  void add_number(Integer value) {
    char digits[24];
    const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), value);
    static_cast<void>(error);
    add_plain({digits, static_cast<std::size_t>(end - digits)});
  }

  /// For text that another program may have written.
  void add_quoted(std::string_view element) {
    begin_element();
    text_ += '"';
    for (const char c : element) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }

  void add_null() { add_plain("NULL"); }

  void reserve(std::size_t bytes) { text_.reserve(bytes); }

  /// The text; the array must not be used any more.
  [[nodiscard]] std::string finish() {
    text_ += text_.empty() ? "{}" : "}";
    return std::move(text_);
  }

 private:
  void begin_element() { text_ += text_.empty() ? '{' : ','; }

  std::string text_;
};

/// Builds the parameter that holds one column of a batch: the text of an array, or, for a batch of one, the value.
class BatchColumn {
 public:
  /// `count`: how many values will be added.
  explicit BatchColumn(std::size_t count) : of_one_(count == 1) {}

  void reserve(std::size_t bytes) {
    if (!of_one_) array_.reserve(bytes);
  }

  void add_plain(std::string_view value) {
    if (of_one_) {
      value_ = value;
    } else {
      array_.add_plain(value);
    }
  }

  template <class Tag, std::size_t N>
  void add_hex(const FixedBytes<Tag, N>& value) {
    if (of_one_) {
      value_ = value.to_string();
    } else {
      array_.add_hex(value);
    }
  }

  template <class Integer>
  void add_number(Integer value) {
    add_plain(std::to_string(value));
  }

  void add_quoted(std::string_view value) {
    if (of_one_) {
      value_ = value;
    } else {
      array_.add_quoted(value);
    }
  }

  void add_null() {
    if (!of_one_) array_.add_null();
  }

  /// The column must not be used any more.
  [[nodiscard]] std::optional<std::string> finish() {
    if (of_one_) return std::move(value_);
    return array_.finish();
  }

 private:
  bool of_one_;
  std::optional<std::string> value_;
  ArrayText array_;
};

/// Reads a whole number. Returns nullopt when the value is null or something else.
template <class Integer>
[[nodiscard]] std::optional<Integer> number_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  Integer value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size()) return std::nullopt;
  return value;
}

/// Returns nullopt for null and for a slot below zero, which a foreign node may have written and no duty of ours has.
[[nodiscard]] inline std::optional<Slot> slot_of(const std::optional<std::string>& text) {
  const auto value = number_of<std::int64_t>(text);
  if (!value || *value < 0) return std::nullopt;
  return Slot::from_signed(*value).value();
}

}  // namespace hasigner::postgres
