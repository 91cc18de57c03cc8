#include "hasigner/crypto/ethereum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

// The test cases of EIP-55, all of them.
constexpr const char* kChecksummed[] = {
    "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};

std::string in_case(std::string text, int (*convert)(int)) {
  std::transform(text.begin() + 2, text.end(), text.begin() + 2, [&](char c) { return static_cast<char>(convert(c)); });
  return text;
}

TEST(Checksum, writes_the_addresses_of_eip_55) {
  for (const std::string text : kChecksummed) {
    EXPECT_EQ(to_checksum(*EthAddress::try_parse(text)), text);
    EXPECT_EQ(to_checksum(*EthAddress::try_parse(in_case(text, std::tolower))), text);
  }
}

TEST(Checksum, writes_what_viem_writes) {
  for (const auto& vector : test::signature_vectors()) {
    EXPECT_EQ(to_checksum(*EthAddress::try_parse(vector.address)), vector.checksum_address);
  }
}

TEST(Checksum, matches_the_letter_case_of_eip_55) {
  for (const std::string text : kChecksummed) EXPECT_TRUE(checksum_matches(text)) << text;
}

TEST(Checksum, has_nothing_to_check_where_all_letters_have_one_case) {
  for (const std::string text : kChecksummed) {
    EXPECT_TRUE(checksum_matches(in_case(text, std::tolower))) << text;
    EXPECT_TRUE(checksum_matches(in_case(text, std::toupper))) << text;
  }
  EXPECT_TRUE(checksum_matches("0x0000000000000000000000000000000000000000"));
}

TEST(Checksum, notices_one_letter_in_the_wrong_case) {
  EXPECT_FALSE(checksum_matches("0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"));
  EXPECT_FALSE(checksum_matches("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"));
}

TEST(Checksum, notices_swapped_digits_in_a_checksummed_address) {
  EXPECT_FALSE(checksum_matches("0x5aAeb6503F3E94C9b9A09f33669435E7Ef1BeAed"));
}

TEST(Checksum, matches_no_text_that_is_not_an_address) {
  EXPECT_FALSE(checksum_matches(""));
  EXPECT_FALSE(checksum_matches("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe"));
  EXPECT_FALSE(checksum_matches("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"));
}

TEST(PersonalMessage, has_the_digest_and_signature_that_viem_gives) {
  for (const auto& vector : test::signature_vectors()) {
    const auto message = *MessageHash::try_parse(vector.hash);
    const auto key = SecretKey::parse(vector.private_key);
    const auto digest = personal_message_digest(message);
    EXPECT_EQ(digest.to_string(), vector.personal_digest);
    EXPECT_EQ(sign(*key, digest).to_string(), vector.personal_signature);
  }
}

// Lengths 9, 10, 99, 100 and 999, 1000 are where the decimal length grows by a digit.
TEST(PersonalMessage, has_them_for_every_length) {
  const auto vectors = test::signed_data_vectors();
  const auto key = SecretKey::parse(vectors.private_key);
  for (const auto& vector : vectors.personal) {
    std::vector<std::uint8_t> message((vector.message.size() - 2) / 2);
    ASSERT_TRUE(from_hex(std::string_view(vector.message).substr(2), message));
    const auto digest = personal_message_digest(message);
    EXPECT_EQ(digest.to_string(), vector.digest) << message.size();
    EXPECT_EQ(sign(*key, digest).to_string(), vector.signature) << message.size();
  }
}

TEST(IsSignatureOf, knows_the_validators_signature_in_each_form_that_signers_give_it) {
  const auto vectors = test::signed_data_vectors();
  const auto key = SecretKey::parse(vectors.private_key);
  const auto hash = personal_message_digest(std::vector<std::uint8_t>{1, 2, 3});
  const auto validator = address_of(*key);
  Signature signature = sign(*key, hash);
  EXPECT_TRUE(is_signature_of(validator, hash, signature));
  signature.bytes()[64] = static_cast<std::uint8_t>(signature.bytes()[64] - 27);
  EXPECT_TRUE(is_signature_of(validator, hash, signature)) << "v of 0 or 1";
  EXPECT_TRUE(is_signature_of(validator, hash, sign(*key, personal_message_digest(hash)))) << "of eth_sign";
  EXPECT_FALSE(is_signature_of(validator, MessageHash{}, signature));
}

}  // namespace
}  // namespace hasigner
