#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace hasigner {

/// The hash function of Ethereum.
///
/// Source: Keccak submission version 3 with the padding of before FIPS 202, so not SHA3-256.
[[nodiscard]] std::array<std::uint8_t, 32> keccak256(std::span<const std::uint8_t> bytes);

/// As above, of the bytes of a text.
[[nodiscard]] std::array<std::uint8_t, 32> keccak256(std::string_view text);

}  // namespace hasigner
