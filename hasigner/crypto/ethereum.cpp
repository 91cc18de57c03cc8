#include "hasigner/crypto/ethereum.hpp"

#include <algorithm>
#include <vector>

#include "hasigner/crypto/keccak.hpp"
#include "hasigner/crypto/secp256k1.hpp"

namespace hasigner {

namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'f';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'F';
}

}  // namespace

std::string to_checksum(const EthAddress& address) {
  std::string digits = to_hex(address.bytes());
  const auto hash = keccak256(digits);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const int nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 0xf;
    if (nibble >= 8 && is_lower(digits[i])) digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
  }
  return "0x" + digits;
}

bool checksum_matches(std::string_view text) {
  const auto address = EthAddress::try_parse(text);
  if (!address) return false;
  const std::string_view digits = text.substr(2);
  if (std::ranges::none_of(digits, is_lower) || std::ranges::none_of(digits, is_upper)) return true;
  return digits == std::string_view(to_checksum(*address)).substr(2);
}

MessageHash personal_message_digest(const MessageHash& message) {
  return personal_message_digest(std::span<const std::uint8_t>(message.bytes()));
}

MessageHash personal_message_digest(std::span<const std::uint8_t> message) {
  const std::string prefix =
      "\x19"
      "Ethereum Signed Message:\n" +
      std::to_string(message.size());
  std::vector<std::uint8_t> prefixed(prefix.begin(), prefix.end());
  prefixed.insert(prefixed.end(), message.begin(), message.end());
  return MessageHash(keccak256(prefixed));
}

bool is_signature_of(const EthAddress& address, const MessageHash& hash, const Signature& made) {
  const Signature signature = normalized(made);
  return recover(hash, signature) == address || recover(personal_message_digest(hash), signature) == address;
}

}  // namespace hasigner
