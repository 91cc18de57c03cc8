#include <hasigner/hasigner.hpp>
#include <iostream>

using namespace hasigner;

int main() {
  // One node. Others share its file; on several machines they share a PostgreSQL database.
  const auto node =
      create_ha_signer({.signer = {.node_id = *NodeId::parse("node-1"),
                                   .rollup = *EthAddress::parse("0x1111111111111111111111111111111111111111")},
                        .database_url = "sqlite:duties.db"});
  if (const auto started = node->signer().start_blocking(); !started) {
    std::cerr << message(started.error()) << '\n';
    return 1;
  }

  // A key for trying out; any function that returns a signature will do, a remote signer's too.
  const auto key = std::make_shared<SecretKey>(*SecretKey::parse("0x" + std::string(64, '4')));
  const auto sign_function =
      node->blocking([key](const SignRequest& request) -> SignOutcome { return sign(*key, request.message_hash); });

  const auto duty = node->signer().sign_with_protection_blocking(
      {.validator = address_of(*key),
       .message_hash = *MessageHash::parse("0x" + std::string(64, 'a')),
       .context = {.duty_type = DutyType::kAttestation, .slot = *Slot::from(42)}},
      sign_function);
  if (!duty) {
    std::cerr << message(duty.error()) << '\n';
    return 1;
  }
  std::cout << duty->signature.to_string() << '\n';
}
