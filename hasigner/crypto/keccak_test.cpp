#include "hasigner/crypto/keccak.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "hasigner/duty/bytes.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

// The values that every Ethereum client knows: the hash of nothing (the code hash of an account without code) and of
// "abc" (the Keccak team's test vectors for r = 1088, c = 512).
TEST(Keccak, hashes_the_known_texts) {
  EXPECT_EQ(to_hex(keccak256("")), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(to_hex(keccak256("abc")), "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
}

// FIPS 202 pads differently; its hash of nothing is widely known and must not come out.
TEST(Keccak, is_not_sha3) {
  EXPECT_NE(to_hex(keccak256("")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
}

TEST(Keccak, agrees_with_viem_round_every_block_boundary) {
  for (const auto& vector : test::keccak_vectors()) {
    std::vector<std::uint8_t> bytes((vector.input.size() - 2) / 2);
    ASSERT_TRUE(from_hex(std::string_view(vector.input).substr(2), bytes));
    EXPECT_EQ("0x" + to_hex(keccak256(bytes)), vector.hash) << bytes.size() << " bytes";
  }
}

}  // namespace
}  // namespace hasigner
