#include "hasigner/crypto/keccak.hpp"

#include <cryptopp/keccak.h>

namespace hasigner {

std::array<std::uint8_t, 32> keccak256(std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, 32> digest;
  CryptoPP::Keccak_256 hash;
  hash.Update(bytes.data(), bytes.size());
  hash.Final(digest.data());
  return digest;
}

std::array<std::uint8_t, 32> keccak256(std::string_view text) {
  return keccak256(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace hasigner
