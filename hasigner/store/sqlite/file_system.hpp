#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace hasigner::sqlite {

/// What a file system means for a database that must remember.
enum class FileSystemKind : std::uint8_t {
  kLocal,      ///< a disk of this machine, as far as the kernel knows
  kNetwork,    ///< other machines share it; its locks and writes are not those that SQLite needs
  kVolatile,   ///< in memory: empty after a restart of the machine
  kContainer,  ///< the layer of a container: it goes with the container
  kPassedOn,   ///< another program is behind it (FUSE), so the kernel does not know
};

struct FileSystem {
  FileSystemKind kind = FileSystemKind::kLocal;
  std::string name;  ///< `ext4`; for an unknown one its number
  std::uint64_t free_bytes = 0;
};

/// By the number that statfs() gives.
[[nodiscard]] FileSystem file_system_of_type(std::uint64_t type);

/// The file system of `path`, or where it is not there, of the nearest folder above it that is. Errors: a sentence.
[[nodiscard]] std::expected<FileSystem, std::string> file_system_of(const std::string& path);

}  // namespace hasigner::sqlite
