#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace hasigner {

/// A value that a caller, a file or a command line brought and that cannot be accepted.
struct InvalidInput {
  std::string field;    ///< name of the value, as the caller knows it
  std::string value;    ///< what was given, made printable and shortened; never a secret
  std::string allowed;  ///< what would have been accepted

  /// One sentence for a person.
  [[nodiscard]] std::string message() const;

  friend bool operator==(const InvalidInput&, const InvalidInput&) = default;
};

/// A value of T, or why the input is not one.
template <class T>
using Parsed = std::expected<T, InvalidInput>;

/// Makes text safe to show in a terminal, a log or JSON: control characters and bytes that are not UTF-8 become `?`,
/// and what goes beyond `max_length` bytes is cut between characters and replaced by `...`.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_length = 80);

}  // namespace hasigner
