#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_text.hpp"

namespace hasigner::keys {

/// Decrypts an encrypted JSON V3 key (scrypt, or pbkdf2 with HMAC and an SHA-2; aes-128-ctr).
///
/// The password is tried as it is given, then in Unicode's normal form NFKC: ethers, which Aztec's node and tools use,
/// encrypts with that.
/// Takes about a second and a few hundred megabytes if the file asks for it. A file that asks for far more is refused.
/// Errors: InvalidInput naming `field` and the member that is wrong: a form that is not V3, another password or a
/// damaged file, a key whose address is not the one in the file. The error does not show a secret.
/// Source: Web3 Secret Storage Definition, version 3.
[[nodiscard]] Parsed<SecretKey> decrypt_key(std::string_view json, const SecretText& password, std::string_view field);

/// Sentences for a person: what Aztec's node refuses of a file that decrypt_key() opens.
///
/// Source: @ethersproject/json-wallets 5.
[[nodiscard]] std::vector<std::string> doubts_about_key_file(std::string_view json, std::string_view field);

/// Encrypts a key as geth does it: scrypt with n = 262144, r = 8, p = 1.
///
/// A password in the form that `password_to_encrypt_with()` gives opens the file everywhere.
[[nodiscard]] std::string encrypt_key(const SecretKey& key, const SecretText& password);

/// The password in Unicode's normal form NFKC, which geth and others take as it is, and ethers makes of it anyway.
///
/// Errors: InvalidInput naming `field`: it is not UTF-8 or holds control characters, so that no keystore can state it.
[[nodiscard]] Parsed<SecretText> password_to_encrypt_with(const SecretText& password, std::string_view field);

}  // namespace hasigner::keys
