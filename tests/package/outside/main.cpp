// A project of someone else that uses the installed library.
#include <cstdio>
#include <string>

#include "hasigner/crypto/keccak.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/duty.hpp"

int main() {
  using namespace hasigner;
  const MessageHash hash(keccak256("abc"));
  // The Keccak team's value for "abc".
  if (hash.to_string() != "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45") return 1;
  const auto key = SecretKey::parse("0x" + std::string(64, '1'));
  const auto duty = make_duty(EthAddress(), address_of(*key), hash, {.duty_type = DutyType::kAttestation});
  if (!duty || recover(hash, sign(*key, duty->message_hash)) != duty->key.validator) return 1;
  std::printf("signed %s\n", duty->key.describe().c_str());
}
