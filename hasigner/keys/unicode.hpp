#pragma once

#include <cstdint>
#include <optional>

#include "hasigner/crypto/secret_text.hpp"

namespace hasigner::keys {

/// The normal forms of compatibility: the same letters typed on two keyboards become the same bytes.
enum class NormalForm : std::uint8_t { kNfkc, kNfkd };

/// Returns nullopt for text that is not UTF-8.
///
/// Source: Unicode Standard Annex 15.
[[nodiscard]] std::optional<SecretText> normalised(const SecretText& text, NormalForm form);

}  // namespace hasigner::keys
