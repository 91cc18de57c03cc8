#include "hasigner/store/sqlite/file_system.hpp"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace hasigner::sqlite {

namespace {

struct KnownType {
  std::uint64_t type;
  FileSystemKind kind;
  std::string_view name;
};

/// Source: statfs(2), linux/magic.h.
constexpr std::array kKnownTypes = {
    KnownType{0xef53, FileSystemKind::kLocal, "ext4"},
    KnownType{0x58465342, FileSystemKind::kLocal, "xfs"},
    KnownType{0x9123683e, FileSystemKind::kLocal, "btrfs"},
    KnownType{0x2fc12fc1, FileSystemKind::kLocal, "zfs"},
    KnownType{0xf2f52010, FileSystemKind::kLocal, "f2fs"},
    KnownType{0xca451a4e, FileSystemKind::kLocal, "bcachefs"},
    KnownType{0x6969, FileSystemKind::kNetwork, "nfs"},
    KnownType{0xff534d42, FileSystemKind::kNetwork, "cifs"},
    KnownType{0xfe534d42, FileSystemKind::kNetwork, "smb2"},
    KnownType{0x517b, FileSystemKind::kNetwork, "smb"},
    KnownType{0x01021997, FileSystemKind::kNetwork, "9p"},
    KnownType{0x00c36400, FileSystemKind::kNetwork, "ceph"},
    KnownType{0x5346414f, FileSystemKind::kNetwork, "afs"},
    KnownType{0x0bd00bd0, FileSystemKind::kNetwork, "lustre"},
    KnownType{0x01161970, FileSystemKind::kNetwork, "gfs2"},
    KnownType{0x7461636f, FileSystemKind::kNetwork, "ocfs2"},
    KnownType{0x47504653, FileSystemKind::kNetwork, "gpfs"},
    KnownType{0x73757245, FileSystemKind::kNetwork, "coda"},
    KnownType{0x786f4256, FileSystemKind::kNetwork, "vboxsf"},
    KnownType{0x65735546, FileSystemKind::kPassedOn, "fuse"},
    KnownType{0x01021994, FileSystemKind::kVolatile, "tmpfs"},
    KnownType{0x858458f6, FileSystemKind::kVolatile, "ramfs"},
    KnownType{0x794c7630, FileSystemKind::kContainer, "overlay"},
    KnownType{0x61756673, FileSystemKind::kContainer, "aufs"},
};

std::string in_hex(std::uint64_t number) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

}  // namespace

FileSystem file_system_of_type(std::uint64_t type) {
  const auto* const known = std::ranges::find(kKnownTypes, type & 0xffffffff, &KnownType::type);
  if (known == kKnownTypes.end()) return {.kind = FileSystemKind::kLocal, .name = in_hex(type)};
  return {.kind = known->kind, .name = std::string(known->name)};
}

std::expected<FileSystem, std::string> file_system_of(const std::string& path) {
  auto looked_at = std::filesystem::absolute(path);
  struct statfs found {};
  while (::statfs(looked_at.c_str(), &found) != 0) {
    const bool may_be_above = errno == ENOENT && looked_at.has_parent_path() && looked_at != looked_at.parent_path();
    if (!may_be_above)
      return std::unexpected("cannot look at the file system of " + looked_at.string() + ": " + std::strerror(errno));
    looked_at = looked_at.parent_path();
  }
  FileSystem file_system = file_system_of_type(static_cast<std::uint64_t>(found.f_type));
  file_system.free_bytes = static_cast<std::uint64_t>(found.f_bavail) * static_cast<std::uint64_t>(found.f_bsize);
  return file_system;
}

}  // namespace hasigner::sqlite
