#include "hasigner/crypto/secp256k1.hpp"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <string.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "hasigner/crypto/keccak.hpp"
#include "hasigner/duty/assert.hpp"

namespace hasigner {

namespace {

constexpr std::uint8_t kFirstV = 27;

struct DestroyContext {
  void operator()(secp256k1_context* context) const { secp256k1_context_destroy(context); }
};
using Context = std::unique_ptr<secp256k1_context, DestroyContext>;

/// Blinds the arithmetic with fresh randomness, so that timing and power consumption say less about the keys.
Context make_randomised_context() {
  std::array<std::uint8_t, 32> seed;
  // Up to 256 bytes arrive whole once the kernel's generator is seeded; until then a signal may interrupt the wait.
  ssize_t filled = 0;
  do {
    filled = getrandom(seed.data(), seed.size(), 0);
  } while (filled < 0 && errno == EINTR);
  if (filled != static_cast<ssize_t>(seed.size())) {
    throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  Context context(secp256k1_context_create(SECP256K1_CONTEXT_NONE));
  HASIGNER_ASSERT(secp256k1_context_randomize(context.get(), seed.data()) == 1);
  explicit_bzero(seed.data(), seed.size());
  return context;
}

/// The context of the process. It is costly to make and never changes afterwards, so all threads may read it.
const secp256k1_context* context() {
  static const Context shared = make_randomised_context();
  return shared.get();
}

PublicKey serialize(const secp256k1_pubkey& key) {
  std::array<std::uint8_t, 65> text;
  std::size_t size = text.size();
  secp256k1_ec_pubkey_serialize(context(), text.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED);
  PublicKey bytes;
  std::copy(text.begin() + 1, text.end(), bytes.bytes().begin());
  return bytes;
}

bool has_high_s(const secp256k1_ecdsa_recoverable_signature& signature) {
  secp256k1_ecdsa_signature plain;
  secp256k1_ecdsa_recoverable_signature_convert(context(), &plain, &signature);
  return secp256k1_ecdsa_signature_normalize(context(), nullptr, &plain) == 1;
}

}  // namespace

PublicKey public_key_of(const SecretKey& key) {
  secp256k1_pubkey point;
  // It fails only for keys that SecretKey refuses.
  HASIGNER_ASSERT(secp256k1_ec_pubkey_create(context(), &point, key.expose().data()) == 1);
  return serialize(point);
}

EthAddress address_of(const PublicKey& key) {
  const auto hash = keccak256(key.bytes());
  EthAddress address;
  std::copy(hash.end() - EthAddress::kSize, hash.end(), address.bytes().begin());
  return address;
}

EthAddress address_of(const SecretKey& key) {
  return address_of(public_key_of(key));
}

std::optional<SecretKey> add_to_key(const SecretKey& key, std::span<const std::uint8_t, SecretKey::kSize> number) {
  std::array<std::uint8_t, SecretKey::kSize> sum;
  std::ranges::copy(key.expose(), sum.begin());
  const bool is_key = secp256k1_ec_seckey_tweak_add(context(), sum.data(), number.data()) == 1;
  auto made = is_key ? SecretKey::from_bytes(sum) : Parsed<SecretKey>(std::unexpected(InvalidInput{}));
  explicit_bzero(sum.data(), sum.size());
  if (!made) return std::nullopt;
  return std::move(*made);
}

Signature sign(const SecretKey& key, const MessageHash& hash) {
  secp256k1_ecdsa_recoverable_signature made;
  HASIGNER_ASSERT(secp256k1_ecdsa_sign_recoverable(context(), &made, hash.bytes().data(), key.expose().data(),
                                                   secp256k1_nonce_function_rfc6979, nullptr) == 1);
  Signature signature;
  int recovery_id = 0;
  secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), signature.bytes().data(), &recovery_id, &made);
  // 2 and 3 mean an r above the group order: about one signature in 2^127.
  HASIGNER_ASSERT(recovery_id == 0 || recovery_id == 1);
  signature.bytes()[64] = static_cast<std::uint8_t>(kFirstV + recovery_id);
  return signature;
}

Signature normalized(const Signature& signature) {
  Signature result = signature;
  auto& v = result.bytes()[64];
  if (v <= 1) v = static_cast<std::uint8_t>(v + kFirstV);
  secp256k1_ecdsa_signature parsed;
  const bool is_signature = (v == kFirstV || v == kFirstV + 1) &&
                            secp256k1_ecdsa_signature_parse_compact(context(), &parsed, result.bytes().data()) == 1;
  if (!is_signature) return signature;
  if (secp256k1_ecdsa_signature_normalize(context(), &parsed, &parsed) == 0) return result;
  secp256k1_ecdsa_signature_serialize_compact(context(), result.bytes().data(), &parsed);
  v = static_cast<std::uint8_t>(2 * kFirstV + 1 - v);
  return result;
}

std::optional<EthAddress> recover(const MessageHash& hash, const Signature& signature) {
  const int recovery_id = signature.bytes()[64] - kFirstV;
  if (recovery_id != 0 && recovery_id != 1) return std::nullopt;
  secp256k1_ecdsa_recoverable_signature parsed;
  if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &parsed, signature.bytes().data(), recovery_id) ==
      0) {
    return std::nullopt;
  }
  if (has_high_s(parsed)) return std::nullopt;
  secp256k1_pubkey point;
  if (secp256k1_ecdsa_recover(context(), &point, &parsed, hash.bytes().data()) == 0) return std::nullopt;
  return address_of(serialize(point));
}

}  // namespace hasigner
