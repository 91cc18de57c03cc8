#include "hasigner/crypto/scrypt.hpp"

#include <gtest/gtest.h>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {
namespace {

std::string derived(std::string_view password, std::string_view salt, ScryptCost cost, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(salt.data()), salt.size());
  return to_hex(scrypt_of_any_cost(SecretText(password), bytes, cost, size));
}

TEST(Scrypt, gives_what_the_rfc_gives) {
  // RFC 7914, section 12.
  EXPECT_EQ(
      derived("", "", {16, 1, 1}, 64),
      "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d36"
      "28cf35e20c38d18906");
  EXPECT_EQ(
      derived("password", "NaCl", {1024, 8, 16}, 64),
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee"
      "6d8360cbdfa2cc0640");
}

}  // namespace
}  // namespace hasigner
