#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::keys {

/// The largest size of a key file.
inline constexpr std::size_t kMaxKeyFileBytes = 1 << 20;

/// Reads a file that holds secrets.
///
/// A file of root may be open to the group of a program that does not run as root: service managers and orchestrators
/// provide credentials in that way, and the program could not read them otherwise.
/// A byte order mark before the text is not part of it.
/// Errors: InvalidInput naming the file: it cannot be read, is not a regular file, is too large, is UTF-16, belongs to
/// another user than this one and root, or is open to others than its owner; then the sentence has the chmod that mends
/// it.
[[nodiscard]] Parsed<SecretText> read_secret_file(const std::filesystem::path& path);

/// As read_secret_file(), and reads a pipe to its end.
[[nodiscard]] Parsed<SecretText> read_secret_file_or_pipe(const std::filesystem::path& path);

/// The content of a file that other users may read if it holds no secrets.
struct GuardedText {
  SecretText text;
  bool had_byte_order_mark = false;                ///< before the text
  std::optional<InvalidInput> readable_by_others;  ///< the refusal, if it holds secrets after all
};

/// As read_secret_file(), but the caller decides whether other users may read the file. They must never be able to
/// write to it.
[[nodiscard]] Parsed<GuardedText> read_guarded_file(const std::filesystem::path& path);

/// The `.json` files of a directory in the order of their names; the extension in either letter case.
///
/// Errors: InvalidInput naming the directory: it cannot be read, or has no such file.
[[nodiscard]] Parsed<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& directory);

}  // namespace hasigner::keys
