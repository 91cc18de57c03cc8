#include "hasigner/crypto/eip191.hpp"

#include <string>
#include <vector>

#include "hasigner/crypto/keccak.hpp"

namespace hasigner {

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

}  // namespace hasigner
