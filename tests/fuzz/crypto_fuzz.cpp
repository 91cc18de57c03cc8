// Keys as text, addresses with letter case, and signatures of which no byte can be trusted.

#include <algorithm>
#include <cctype>
#include <string>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/assert.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

void check_key(std::string_view text) {
  const auto key = SecretKey::parse(text);
  if (key) return;
  // Six digits in a row are more than the message has of its own.
  const auto message = key.error().message();
  for (std::size_t i = 0; i + 6 <= text.size(); ++i) {
    const auto digits = text.substr(i, 6);
    const bool is_hex = std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; });
    HASIGNER_ASSERT(!is_hex || message.find(digits) == std::string::npos);
  }
}

void check_checksum(std::string_view text) {
  const auto address = EthAddress::try_parse(text);
  HASIGNER_ASSERT(address || !checksum_matches(text));
  if (address)
    HASIGNER_ASSERT(checksum_matches(to_checksum(*address)) && EthAddress::try_parse(to_checksum(*address)) == address);
}

/// The input as hash, r, s and v. When it recovers to an address, its twin with the other s and v must be refused.
void check_recover(const std::uint8_t* bytes, std::size_t size) {
  MessageHash hash;
  Signature signature;
  const std::size_t of_hash = std::min(size, MessageHash::kSize);
  std::copy_n(bytes, of_hash, hash.bytes().begin());
  std::copy_n(bytes + of_hash, std::min(size - of_hash, Signature::kSize), signature.bytes().begin());
  const auto address = recover(hash, signature);
  if (!address) return;
  const std::uint8_t v = signature.bytes()[64];
  HASIGNER_ASSERT(v == 27 || v == 28);
  HASIGNER_ASSERT((signature.bytes()[32] & 0x80) == 0);
  signature.bytes()[64] = static_cast<std::uint8_t>(55 - v);
  HASIGNER_ASSERT(recover(hash, signature) != address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_key(test::text_of(bytes, size));
  check_checksum(test::text_of(bytes, size));
  check_recover(bytes, size);
  return 0;
}
