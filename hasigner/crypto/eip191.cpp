#include "hasigner/crypto/eip191.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "hasigner/crypto/keccak.hpp"

namespace hasigner {

MessageHash personal_message_digest(const MessageHash& message) {
  constexpr std::string_view kPrefix =
      "\x19"
      "Ethereum Signed Message:\n32";
  std::array<std::uint8_t, kPrefix.size() + MessageHash::kSize> prefixed;
  std::ranges::copy(message.bytes(), std::ranges::copy(kPrefix, prefixed.begin()).out);
  return MessageHash(keccak256(prefixed));
}

}  // namespace hasigner
