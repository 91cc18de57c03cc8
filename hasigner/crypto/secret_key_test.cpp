#include "hasigner/crypto/secp256k1.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <fstream>
#include <ostream>
#include <sstream>
#include <type_traits>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {
namespace {

// SEC 2, section 2.4.1: the order n of the group.
const std::string kOrder = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const std::string kOrderLessOne = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
const std::string kOne = "0x" + std::string(63, '0') + "1";
const std::string kSecret = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

static_assert(!std::is_copy_constructible_v<SecretKey> && !std::is_copy_assignable_v<SecretKey>);
static_assert(std::is_nothrow_move_constructible_v<SecretKey> && std::is_nothrow_move_assignable_v<SecretKey>);
static_assert(!Printable<SecretKey> && Printable<std::string>);

void expect_refused_without_a_trace(const std::string& text) {
  const auto key = SecretKey::parse(text, "--key-file");
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error().field, "--key-file");
  // Even a few digits would shorten the search for the key.
  for (std::size_t i = 0; i + 6 <= text.size(); ++i) {
    EXPECT_EQ(key.error().message().find(text.substr(i, 6)), std::string::npos) << key.error().message();
  }
}

/// The lines that /proc/self/smaps has for the mapping with this address.
std::string mapping_of(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::string lines;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (std::istringstream(line) >> std::hex >> begin >> dash >> end && dash == '-') {
      inside = begin <= wanted && wanted < end;
    }
    if (inside) lines += line + '\n';
  }
  return lines;
}

/// Whether the kernel says `flag` of the mapping: `lo` for locked in memory, `dd` for left out of core dumps.
bool has_flag(const std::string& mapping, const std::string& flag) {
  const auto flags = mapping.find("VmFlags:");
  return flags != std::string::npos && mapping.find(" " + flag + " ", flags) != std::string::npos;
}

TEST(SecretKey, reads_keys_in_either_letter_case) {
  const auto key = SecretKey::parse(kSecret);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ("0x" + to_hex(key->expose()), kSecret);
  EXPECT_EQ(*key, *SecretKey::parse("0X4C0883A69102937D6231471B5DBB6204FE5129617082792AE468D01A3F362318"));
}

TEST(SecretKey, is_the_same_from_bytes_as_from_text) {
  std::array<std::uint8_t, 32> bytes;
  ASSERT_TRUE(from_hex(kSecret.substr(2), bytes));
  EXPECT_EQ(*SecretKey::from_bytes(bytes), *SecretKey::parse(kSecret));
}

TEST(SecretKey, differs_where_any_byte_differs) {
  const auto key = SecretKey::parse(kSecret);
  for (std::size_t i = 2; i < kSecret.size(); ++i) {
    std::string other = kSecret;
    other[i] = other[i] == '1' ? '2' : '1';
    EXPECT_NE(*key, *SecretKey::parse(other)) << i;
  }
}

TEST(SecretKey, accepts_the_smallest_and_the_largest_key) {
  EXPECT_TRUE(SecretKey::parse(kOne).has_value());
  EXPECT_TRUE(SecretKey::parse(kOrderLessOne).has_value());
}

TEST(SecretKey, refuses_zero_and_the_group_order_and_above) {
  for (const auto& text : {"0x" + std::string(64, '0'), kOrder, "0x" + std::string(64, 'f')}) {
    const auto key = SecretKey::parse(text);
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().allowed, "at least 1 and below the order of the secp256k1 group");
  }
  EXPECT_FALSE(SecretKey::from_bytes(std::array<std::uint8_t, 32>{}).has_value());
}

TEST(SecretKey, shows_nothing_of_a_text_that_it_refuses) {
  expect_refused_without_a_trace(kSecret.substr(0, 65));
  expect_refused_without_a_trace(kSecret + "1");
  expect_refused_without_a_trace(kSecret + "\n");
  expect_refused_without_a_trace(kSecret.substr(2));
  expect_refused_without_a_trace(kSecret.substr(0, 65) + "g");
  expect_refused_without_a_trace("1x" + kSecret.substr(2));
  EXPECT_EQ(SecretKey::parse("").error().message(),
            "private key is 'a text of 0 characters (not shown)', but must be 0x and 64 hexadecimal digits");
}

TEST(SecretKey, stays_out_of_core_dumps) {
  const auto key = SecretKey::parse(kSecret);
  const auto mapping = mapping_of(key->expose().data());
  EXPECT_TRUE(has_flag(mapping, "dd")) << mapping;
}

TEST(SecretKey, stays_out_of_swap_where_the_limit_allows) {
  // Sanitizers make mlock() do nothing, and the limit may be too low: then a page of the test's own is not locked
  // either.
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  const bool may_lock = mlock(page, 4096) == 0 && has_flag(mapping_of(page), "lo");
  munmap(page, 4096);
  if (!may_lock) GTEST_SKIP() << "no memory can be locked here";
  const auto key = SecretKey::parse(kSecret);
  const auto mapping = mapping_of(key->expose().data());
  EXPECT_TRUE(has_flag(mapping, "lo")) << mapping;
}

TEST(SecretKey, still_works_where_no_memory_may_be_locked) {
  rlimit before{};
  getrlimit(RLIMIT_MEMLOCK, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_MEMLOCK, &none);
  EXPECT_TRUE(SecretKey::parse(kSecret).has_value());
  setrlimit(RLIMIT_MEMLOCK, &before);
}

TEST(SecretKeyDeathTest, moved_from_keys_cannot_be_used) {
  auto key = SecretKey::parse(kSecret);
  const SecretKey taken = std::move(*key);
  EXPECT_EQ("0x" + to_hex(taken.expose()), kSecret);
  EXPECT_DEATH(static_cast<void>(key->expose()), "broken invariant");
}

}  // namespace
}  // namespace hasigner
