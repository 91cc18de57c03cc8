#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {

/// Writes an address with the letter case that lets a reader notice a typing error.
///
/// Source: EIP-55.
[[nodiscard]] std::string to_checksum(const EthAddress& address);

/// Whether the letter case of an address is the one of EIP-55, or says nothing because all letters have one case.
///
/// Returns false for text that is not an address, too. A mismatch is a reason to warn, not to refuse: the bytes are
/// unambiguous.
[[nodiscard]] bool checksum_matches(std::string_view text);

/// The digest that `eth_sign` and `personal_sign` sign for a message of 32 bytes.
///
/// Source: EIP-191, version 0x45: keccak256("\x19Ethereum Signed Message:\n32" ‖ message).
[[nodiscard]] MessageHash personal_message_digest(const MessageHash& message);

/// As above, for a message of any length: its number of bytes stands in decimal after the prefix.
[[nodiscard]] MessageHash personal_message_digest(std::span<const std::uint8_t> message);

/// Whether the signature recovers to the address, over the hash itself or over its EIP-191 digest: a row whose message
/// was signed by `eth_sign` may hold the 32 bytes before the prefix.
[[nodiscard]] bool is_signature_of(const EthAddress& address, const MessageHash& hash, const Signature& signature);

}  // namespace hasigner
