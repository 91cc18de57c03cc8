#pragma once

#include <filesystem>
#include <string>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::keys {

/// What no key file is larger than.
inline constexpr std::size_t kMaxKeyFileBytes = 1 << 20;

/// Reads a file that holds secrets.
///
/// Errors: InvalidInput naming the file: it cannot be read, is not a regular file, is too large, belongs to another
/// user than this one and root, or is open to others than its owner; then the sentence holds the chmod that mends it.
[[nodiscard]] Parsed<SecretText> read_secret_file(const std::filesystem::path& path);

/// The `.json` files of a directory in the order of their names.
///
/// Errors: InvalidInput naming the directory: it cannot be read, or holds none.
[[nodiscard]] Parsed<std::vector<std::filesystem::path>> json_files_in(const std::filesystem::path& directory);

}  // namespace hasigner::keys
