#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::keys {

/// What no key file is larger than.
inline constexpr std::size_t kMaxKeyFileBytes = 1 << 20;

/// Reads a file that holds secrets.
///
/// A file of root's may be open to the group of a program that does not run as root: credentials that a service manager
/// or an orchestrator provides come that way, and no other could be read.
/// Errors: InvalidInput naming the file: it cannot be read, is not a regular file, is too large, belongs to another
/// user than this one and root, or is open to others than its owner; then the sentence holds the chmod that mends it.
[[nodiscard]] Parsed<SecretText> read_secret_file(const std::filesystem::path& path);

/// As read_secret_file(), or the whole of a pipe.
[[nodiscard]] Parsed<SecretText> read_secret_file_or_pipe(const std::filesystem::path& path);

/// What a file holds that others may read, if it turns out to hold no secrets.
struct GuardedText {
  SecretText text;
  std::optional<InvalidInput> readable_by_others;  ///< the refusal, if it holds secrets after all
};

/// As read_secret_file(), but leaves it to the caller whether others may read it. None may ever write to it.
[[nodiscard]] Parsed<GuardedText> read_guarded_file(const std::filesystem::path& path);

/// The `.json` files of a directory in the order of their names.
///
/// Errors: InvalidInput naming the directory: it cannot be read, or holds none.
[[nodiscard]] Parsed<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& directory);

}  // namespace hasigner::keys
