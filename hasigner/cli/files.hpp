#pragma once

#include <string>
#include <string_view>

namespace hasigner::cli {

/// The content of a file, or of a pipe; `-` is standard input. Throws CommandError naming the file and why it cannot be
/// read, or that it is larger than `limit` bytes.
[[nodiscard]] std::string read_file(const std::string& path, std::size_t limit);

/// Whether others than its owner may read a file. False also where that cannot be found out.
[[nodiscard]] bool others_can_read(const std::string& path);

/// Puts a file in place as a whole or not at all, readable by its owner only (mode 0600), on disk when it returns.
/// Throws CommandError naming the file and why it cannot be written.
void write_private_file(const std::string& path, std::string_view content);

/// As write_private_file(), readable by all whom the umask lets; an existing file is refused.
void write_new_file(const std::string& path, std::string_view content);

/// As write_private_file(); an existing file is refused.
void write_new_private_file(const std::string& path, std::string_view content);

}  // namespace hasigner::cli
