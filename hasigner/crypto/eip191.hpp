#pragma once

#include <cstdint>
#include <span>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {

/// The digest that `eth_sign` and `personal_sign` sign for a message of 32 bytes.
///
/// Source: EIP-191, version 0x45: keccak256("\x19Ethereum Signed Message:\n32" ‖ message).
[[nodiscard]] MessageHash personal_message_digest(const MessageHash& message);

/// As above, for a message of any length: its number of bytes stands in decimal after the prefix.
[[nodiscard]] MessageHash personal_message_digest(std::span<const std::uint8_t> message);

}  // namespace hasigner
