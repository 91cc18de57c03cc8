#pragma once

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

}  // namespace hasigner
