#include "hasigner/store/sqlite/file_system.hpp"

#include <gtest/gtest.h>

namespace hasigner::sqlite {
namespace {

// Numbers: statfs(2).
TEST(FileSystem, those_of_other_machines_and_of_memory_are_told_from_disks) {
  EXPECT_EQ(file_system_of_type(0x6969).kind, FileSystemKind::kNetwork);
  EXPECT_EQ(file_system_of_type(0x6969).name, "nfs");
  EXPECT_EQ(file_system_of_type(0xff534d42).kind, FileSystemKind::kNetwork);
  EXPECT_EQ(file_system_of_type(0x01021994).kind, FileSystemKind::kVolatile);
  EXPECT_EQ(file_system_of_type(0x794c7630).kind, FileSystemKind::kContainer);
  EXPECT_EQ(file_system_of_type(0x65735546).kind, FileSystemKind::kPassedOn);
  EXPECT_EQ(file_system_of_type(0xef53).kind, FileSystemKind::kLocal);
  EXPECT_EQ(file_system_of_type(0x1234).kind, FileSystemKind::kLocal);
  EXPECT_EQ(file_system_of_type(0x1234).name, "0x1234");
}

TEST(FileSystem, a_number_that_the_kernel_gives_as_negative_is_the_same) {
  EXPECT_EQ(file_system_of_type(static_cast<std::uint64_t>(static_cast<std::int32_t>(0xff534d42))).name, "cifs");
}

TEST(FileSystem, a_path_that_is_not_there_is_looked_for_above) {
  const auto found = file_system_of("/proc/nothing/at/all");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, file_system_of("/proc")->name);
}

}  // namespace
}  // namespace hasigner::sqlite
