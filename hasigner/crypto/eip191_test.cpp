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

}  // namespace
}  // namespace hasigner
