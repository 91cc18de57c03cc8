#include "hasigner/duty/bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <unordered_set>

// As a release build: the assertion below must hold there too.
#define NDEBUG
#include "hasigner/duty/assert.hpp"

namespace hasigner {
namespace {

const std::string kAddress = "0x00112233445566778899aabbccddeeff01234567";
const std::string kHash = "0x" + std::string(62, 'a') + "01";

Signature signature_of_sevens() {
  Signature signature;
  signature.bytes().fill(7);
  return signature;
}

TEST(Signature, leaves_nothing_behind_when_it_is_destroyed_or_moved_away) {
  alignas(Signature) std::array<std::uint8_t, sizeof(Signature)> memory;
  memory.fill(1);
  auto* const signature = new (memory.data()) Signature(signature_of_sevens());
  ASSERT_TRUE(std::ranges::all_of(memory, [](auto byte) { return byte == 7; }));
  std::destroy_at(signature);
  EXPECT_TRUE(std::ranges::all_of(memory, [](auto byte) { return byte == 0; }));

  Signature from = signature_of_sevens();
  Signature to(std::move(from));
  EXPECT_EQ(to, signature_of_sevens());
  EXPECT_EQ(from, Signature{});  // NOLINT(bugprone-use-after-move): that is what is shown
  from = std::move(to);
  EXPECT_EQ(from, signature_of_sevens());
  EXPECT_EQ(to, Signature{});  // NOLINT(bugprone-use-after-move)
  auto& same = from;
  from = std::move(same);
  EXPECT_EQ(from, signature_of_sevens()) << "moved to itself it stays";
}

TEST(Signature, stays_regular_and_as_small_as_its_bytes) {
  static_assert(std::regular<Signature> && std::is_nothrow_move_constructible_v<Signature>);
  static_assert(sizeof(Signature) == 65);
  static_assert(std::is_trivially_copyable_v<MessageHash> && std::is_trivially_copyable_v<EthAddress>,
                "only secrets are wiped");
  static_assert(Signature{} < Signature(std::array<std::uint8_t, 65>{1}));
}

TEST(Hex, writes_and_reads_every_byte) {
  std::array<std::uint8_t, 256> all;
  for (int i = 0; i < 256; ++i) all[i] = static_cast<std::uint8_t>(i);
  const std::string text = to_hex(all);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(504), "fcfdfeff");
  std::array<std::uint8_t, 256> read{};
  ASSERT_TRUE(from_hex(text, read));
  EXPECT_EQ(read, all);
}

TEST(Hex, refuses_every_character_that_is_not_a_digit) {
  for (int c = 0; c < 256; ++c) {
    std::array<std::uint8_t, 1> byte{};
    const bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    EXPECT_EQ(from_hex(std::string{'0', static_cast<char>(c)}, byte), is_digit) << c;
    EXPECT_EQ(from_hex(std::string{static_cast<char>(c), '0'}, byte), is_digit) << c;
  }
}

TEST(Hex, refuses_another_number_of_digits) {
  std::array<std::uint8_t, 2> bytes{};
  for (const char* text : {"", "0", "01", "012", "01234", "0x0123"}) EXPECT_FALSE(from_hex(text, bytes)) << text;
  EXPECT_TRUE(from_hex("0123", bytes));
}

TEST(EthAddress, is_the_same_in_every_letter_case) {
  const auto lower = EthAddress::parse(kAddress);
  ASSERT_TRUE(lower.has_value());
  EXPECT_EQ(EthAddress::parse("0x00112233445566778899AABBCCDDEEFF01234567"), lower);
  EXPECT_EQ(EthAddress::parse("0X00112233445566778899aAbBcCdDeEfF01234567"), lower);
  EXPECT_EQ(lower->to_string(), kAddress);
}

TEST(EthAddress, refuses_wrong_length_and_alphabet_and_names_the_field) {
  for (const std::string& text :
       {std::string(), std::string("0x"), kAddress.substr(2), kAddress.substr(0, 41), kAddress + "0", kAddress + " ",
        " " + kAddress, "0x" + std::string(39, '0') + "g", "1x" + kAddress.substr(2), std::string("not an address"),
        "0x" + std::string(38, '0') + "\xc3\xa9", "0x" + std::string(39, '0') + std::string(1, '\0')}) {
    const auto address = EthAddress::parse(text, "--rollup");
    ASSERT_FALSE(address.has_value()) << text;
    EXPECT_EQ(address.error().field, "--rollup");
    EXPECT_EQ(address.error().allowed, "0x and 40 hexadecimal digits");
  }
}

TEST(MessageHash, refuses_31_and_33_bytes_and_words) {
  EXPECT_TRUE(MessageHash::parse(kHash).has_value());
  for (const std::string& text : {kHash.substr(0, 64), kHash.substr(0, 65), kHash + "00", std::string("not a hash"),
                                  std::string("0xnot a hash"), kHash.substr(2)}) {
    const auto hash = MessageHash::parse(text);
    ASSERT_FALSE(hash.has_value()) << text;
    EXPECT_EQ(hash.error().message(), "message hash is '" + text + "', but must be 0x and 64 hexadecimal digits");
  }
}

TEST(Signature, has_65_bytes) {
  EXPECT_TRUE(Signature::parse("0x" + std::string(130, '1')).has_value());
  EXPECT_FALSE(Signature::parse("0x" + std::string(128, '1')).has_value());
}

TEST(FixedBytes, compares_byte_by_byte_from_the_first) {
  const auto value = [](const std::string& text) { return *EthAddress::try_parse("0x" + text); };
  EXPECT_LT(value("01" + std::string(38, 'f')), value("02" + std::string(38, '0')));
  EXPECT_LT(value(std::string(38, '0') + "7f"), value(std::string(38, '0') + "80"));
  EXPECT_EQ(value(std::string(40, '0')), EthAddress{});
}

TEST(FixedBytes, hashes_differ_where_the_last_bytes_do) {
  std::unordered_set<EthAddress, BytesHash<EthAddress>> set;
  for (int i = 0; i < 256; ++i) {
    EthAddress address;
    address.bytes()[19] = static_cast<std::uint8_t>(i);
    set.insert(address);
  }
  EXPECT_EQ(set.size(), 256u);
}

TEST(Printable, replaces_control_characters_and_broken_utf_8) {
  EXPECT_EQ(printable("a\x1b[31mb\n\x7f"), "a?[31mb??");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(printable("node\u202egnp\u200b"), "node\\u{202e}gnp\\u{200b}") << "what turns text, or is not seen";
  EXPECT_EQ(printable("\u00ad\u061c\u2066\ufeff\U000e0041"), "\\u{ad}\\u{61c}\\u{2066}\\u{feff}\\u{e0041}");
  EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(printable("caf\xe9!"), "caf?!");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m")
      << "the 8-bit form of the escape that colours terminals";
}

TEST(Printable, cuts_long_text_between_characters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("abcde\xc3\xa9", 6), "abcde...");
}

TEST(WithoutKeys, hides_what_is_as_long_as_a_key_and_nothing_else) {
  const std::string key(64, 'a');
  EXPECT_EQ(without_keys("/api/v2/sign"), "/api/v2/sign");
  EXPECT_EQ(without_keys("0x" + key), "0x(not shown)");
  EXPECT_EQ(without_keys("/hs_" + key + "/" + key + "0x"), "/hs_(not shown)/(not shown)x");
  EXPECT_EQ(without_keys(key.substr(1)), key.substr(1));
}

TEST(AssertDeathTest, ends_the_program_in_release_builds_too) {
  HASIGNER_ASSERT(1 + 1 == 2);
  EXPECT_DEATH(HASIGNER_ASSERT(1 + 1 == 3), "bytes_test.cpp:[0-9]+: broken invariant: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace hasigner
