#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hasigner::keys {

/// The index of a word in BIP-39's English list, from 0. Returns nullopt when it is not in the list.
///
/// Source: BIP-39, english.txt (MIT licence), as it has been since 2014; its words are in alphabetical order.
[[nodiscard]] std::optional<std::uint16_t> bip39_number(std::string_view word);

}  // namespace hasigner::keys
