#include "hasigner/crypto/scrypt.hpp"

#include <cryptopp/scrypt.h>

namespace hasigner {

SecretBytes scrypt_of_any_cost(const SecretText& password, std::span<const std::uint8_t> salt, ScryptCost cost,
                               std::size_t size) {
  SecretBytes derived(size);
  const auto* const secret = reinterpret_cast<const CryptoPP::byte*>(password.view().data());
  CryptoPP::Scrypt().DeriveKey(derived.data(), size, secret, password.size(), salt.data(), salt.size(), cost.n, cost.r,
                               cost.p);
  return derived;
}

}  // namespace hasigner
