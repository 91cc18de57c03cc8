#include "hasigner/crypto/eip191.hpp"

#include <gtest/gtest.h>

#include "hasigner/crypto/secp256k1.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

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

}  // namespace
}  // namespace hasigner
