#pragma once

#include <string>
#include <string_view>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_text.hpp"

namespace hasigner::keys {

/// Decrypts an encrypted JSON V3 key (scrypt or pbkdf2 with HMAC-SHA-256; aes-128-ctr).
///
/// Takes about a second and a few hundred megabytes if the file asks for it. A file that asks for far more is refused.
/// Errors: InvalidInput naming `field` and the member that is wrong: a form that is not V3, another password or a
/// damaged file, a key whose address is not the one in the file. The error does not show a secret.
/// Source: Web3 Secret Storage Definition, version 3.
[[nodiscard]] Parsed<SecretKey> decrypt_key(std::string_view json, const SecretText& password, std::string_view field);

/// Encrypts a key as geth does it: scrypt with n = 262144, r = 8, p = 1.
[[nodiscard]] std::string encrypt_key(const SecretKey& key, const SecretText& password);

}  // namespace hasigner::keys
