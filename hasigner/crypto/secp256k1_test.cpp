#include "hasigner/crypto/secp256k1.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

MessageHash hash_of(std::string_view text) {
  return *MessageHash::try_parse(text);
}

struct KnownSignature {
  const char* source;
  const char* private_key;
  const char* address;
  const char* hash;
  const char* signature;
};

constexpr KnownSignature kKnown[] = {
    {.source = "EIP-155's example (v there is 37, which is recovery id 0 on chain 1)",
     .private_key = "0x4646464646464646464646464646464646464646464646464646464646464646",
     .address = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f",
     .hash = "0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53",
     .signature = "0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
                  "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d831b"},
    {.source = "web3.js documentation, web3.eth.accounts.sign",
     .private_key = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
     .address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23",
     .hash = "0x1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655",
     .signature = "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
                  "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c"}};

// s replaced by n - s and v flipped: the other signature that plain ECDSA would accept for the same key and hash.
// n - s was calculated by hand (Python) from kKnown[0].
constexpr const char* kHighSTwin =
    "0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
    "98341627668089e51348fccfb4c7ff31c55912f2d2e47ef09652acf665fad3be1c";

TEST(Secp256k1, gives_the_known_signatures) {
  for (const auto& known : kKnown) {
    const auto key = SecretKey::parse(known.private_key);
    EXPECT_EQ(address_of(*key).to_string(), known.address) << known.source;
    EXPECT_EQ(sign(*key, hash_of(known.hash)).to_string(), known.signature) << known.source;
  }
}

TEST(Secp256k1, signs_and_recovers_as_viem_does) {
  for (const auto& vector : test::signature_vectors()) {
    const auto key = SecretKey::parse(vector.private_key);
    const auto hash = hash_of(vector.hash);
    const auto signature = sign(*key, hash);
    EXPECT_EQ(public_key_of(*key).to_string(), vector.public_key);
    EXPECT_EQ(address_of(*key).to_string(), vector.address);
    EXPECT_EQ(signature.to_string(), vector.signature);
    EXPECT_EQ(recover(hash, signature), address_of(*key));
  }
}

TEST(Secp256k1, signs_the_same_from_many_threads) {
  const auto key = SecretKey::parse(kKnown[0].private_key);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const auto signature = sign(*key, hash_of(kKnown[0].hash));
        EXPECT_EQ(signature.to_string(), kKnown[0].signature);
        EXPECT_EQ(recover(hash_of(kKnown[0].hash), signature)->to_string(), kKnown[0].address);
      }
    });
  }
}

// 1 + 1 = 2, and n - 1 + 1 = 0 modulo n.
TEST(AddToKey, adds_modulo_the_order) {
  std::array<std::uint8_t, 32> one{};
  one.back() = 1;
  const auto smallest = *SecretKey::from_bytes(one);
  EXPECT_EQ(to_hex(add_to_key(smallest, one)->expose()), std::string(63, '0') + "2");
  const auto largest = *SecretKey::parse("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140");
  EXPECT_FALSE(add_to_key(largest, one).has_value());
  std::array<std::uint8_t, 32> too_large;
  too_large.fill(0xff);
  EXPECT_FALSE(add_to_key(smallest, too_large).has_value());
}

TEST(Recover, gives_another_address_for_another_hash) {
  const auto signature = *Signature::try_parse(kKnown[0].signature);
  EXPECT_EQ(recover(hash_of(kKnown[0].hash), signature)->to_string(), kKnown[0].address);
  EXPECT_NE(recover(hash_of(kKnown[1].hash), signature)->to_string(), kKnown[0].address);
}

TEST(Recover, refuses_every_v_but_27_and_28) {
  auto signature = *Signature::try_parse(kKnown[0].signature);
  for (int v = 0; v < 256; ++v) {
    signature.bytes()[64] = static_cast<std::uint8_t>(v);
    EXPECT_EQ(recover(hash_of(kKnown[0].hash), signature).has_value(), v == 27 || v == 28) << v;
  }
}

TEST(Recover, refuses_the_twin_with_high_s) {
  const auto twin = Signature::try_parse(kHighSTwin);
  ASSERT_TRUE(twin.has_value());
  EXPECT_EQ(recover(hash_of(kKnown[0].hash), *twin), std::nullopt);
}

TEST(Normalized, has_low_s_and_v_of_27_or_28) {
  const auto good = *Signature::try_parse(kKnown[0].signature);
  EXPECT_EQ(normalized(good), good);
  EXPECT_EQ(normalized(*Signature::try_parse(kHighSTwin)), good);
  for (const auto& from : {good, *Signature::try_parse(kHighSTwin)}) {
    auto parity = from;
    parity.bytes()[64] -= 27;
    EXPECT_EQ(normalized(parity), good);
  }
  auto not_one = good;
  not_one.bytes()[64] = 29;
  EXPECT_EQ(normalized(not_one), not_one);
  std::fill_n(not_one.bytes().begin(), 32, std::uint8_t{0xff});
  not_one.bytes()[64] = 27;
  EXPECT_EQ(normalized(not_one), not_one);
}

TEST(Recover, refuses_r_and_s_outside_the_group) {
  const auto hash = hash_of(kKnown[0].hash);
  const auto good = *Signature::try_parse(kKnown[0].signature);
  for (const std::size_t part : {0, 32}) {
    for (const std::uint8_t filling : {0x00, 0xff}) {
      auto bad = good;
      std::fill_n(bad.bytes().begin() + part, 32, filling);
      EXPECT_EQ(recover(hash, bad), std::nullopt) << part << ' ' << int{filling};
    }
  }
  EXPECT_EQ(recover(hash, Signature{}), std::nullopt);
}

// No point of the curve has x = 5: 5^3 + 7 is not a square modulo the field's prime (calculated with Python).
TEST(Recover, refuses_an_r_that_is_not_a_point_of_the_curve) {
  auto bad = *Signature::try_parse(kKnown[0].signature);
  std::fill_n(bad.bytes().begin(), 32, std::uint8_t{0});
  bad.bytes()[31] = 5;
  EXPECT_EQ(recover(hash_of(kKnown[0].hash), bad), std::nullopt);
}

}  // namespace
}  // namespace hasigner
