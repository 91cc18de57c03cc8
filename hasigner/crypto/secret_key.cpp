#include "hasigner/crypto/secp256k1.hpp"

#include <cryptopp/misc.h>
#include <secp256k1.h>

#include <algorithm>
#include <string>

#include "hasigner/crypto/secret_pages.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner {

namespace {

std::unexpected<InvalidInput> refuse(std::string_view field, std::string_view text) {
  return std::unexpected(InvalidInput{std::string(field),
                                      "a text of " + std::to_string(text.size()) + " characters (not shown)",
                                      "0x and 64 hexadecimal digits"});
}

}  // namespace

Parsed<SecretKey> SecretKey::checked(Cell cell, std::string_view field) {
  if (secp256k1_ec_seckey_verify(secp256k1_context_static, cell.get()) == 0) {
    return std::unexpected(InvalidInput{std::string(field), "0 or too large (not shown)",
                                        "at least 1 and below the order of the secp256k1 group"});
  }
  return SecretKey(std::move(cell));
}

Parsed<SecretKey> SecretKey::parse(std::string_view text, std::string_view field) {
  if (text.size() != 2 + 2 * kSize || text[0] != '0' || (text[1] != 'x' && text[1] != 'X')) return refuse(field, text);
  Cell cell = SecretPages::of_keys()->take();
  if (!from_hex(text.substr(2), std::span(cell.get(), kSize))) return refuse(field, text);
  return checked(std::move(cell), field);
}

Parsed<SecretKey> SecretKey::from_bytes(std::span<const std::uint8_t, kSize> bytes, std::string_view field) {
  Cell cell = SecretPages::of_keys()->take();
  std::ranges::copy(bytes, cell.get());
  return checked(std::move(cell), field);
}

std::span<const std::uint8_t, SecretKey::kSize> SecretKey::expose() const {
  HASIGNER_ASSERT(cell_ != nullptr);
  return std::span<const std::uint8_t, kSize>(cell_.get(), kSize);
}

bool operator==(const SecretKey& a, const SecretKey& b) {
  return CryptoPP::VerifyBufsEqual(a.expose().data(), b.expose().data(), SecretKey::kSize);
}

}  // namespace hasigner
