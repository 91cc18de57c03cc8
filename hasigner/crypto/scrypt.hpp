#pragma once

#include <cstdint>
#include <span>

#include "hasigner/crypto/secret_text.hpp"

namespace hasigner {

/// How much work and memory scrypt takes: about 128·n·r bytes.
struct ScryptCost {
  std::uint64_t n = 0;  ///< a power of 2 from 2 on
  std::uint64_t r = 0;
  std::uint64_t p = 0;
};

/// Derives bytes from a password, for any n: also for those from 2^(16·r) on.
///
/// RFC 7914 excludes the latter, and OpenSSL refuses them. But the example of the Web3 Secret Storage Definition has
/// such an n (n = 262144, r = 1), and key files may have one too. Errors: throws std::bad_alloc. Source: RFC 7914.
[[nodiscard]] SecretBytes scrypt_of_any_cost(const SecretText& password, std::span<const std::uint8_t> salt,
                                             ScryptCost cost, std::size_t size);

}  // namespace hasigner
