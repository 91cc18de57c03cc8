// Signs one block proposal, so that no node that shares the database can sign another one in its place.
//
//   basic_usage sqlite:signer.db
//   basic_usage postgresql://USER:PASSWORD@HOST/DATABASE    (after: ha-signer migrate up --database-url …)
//
// Run it again: the proposal is not signed twice, but its recorded signature can be published again.

#include <hasigner/hasigner.hpp>
#include <iostream>

using namespace hasigner;

namespace {

/// For the example only. A real key comes from a key store and stands in no source file.
SecretKey example_key() {
  return SecretKey::parse("0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").value();
}

SignRequest block_proposal(const SecretKey& key) {
  SignRequest request{.validator = address_of(key), .message_hash = {}, .context = {}};
  request.message_hash =
      MessageHash::parse("0x9c22ff5f21f0b81b113e63f7db6da94fedef11b2119b4088b89664fb9a3cb658").value();
  request.context.duty_type = DutyType::kBlockProposal;
  request.context.slot = Slot::from(100).value();
  request.context.block_number = BlockNumber::from(50).value();
  request.context.block_index = 0;
  return request;
}

int run(const std::string& database_url) {
  // Checks the configuration and the database's tables, and throws StartupError with a sentence that says what to do.
  HaSignerConfig config{.signer = {.node_id = NodeId::parse("validator-node-1").value(),
                                   .rollup = EthAddress::parse("0x5FbDB2315678afecb367f032d93F642f64180aa3").value()},
                        .database_url = database_url,
                        .pool = {}};
  const auto node = create_ha_signer(std::move(config));

  // Registers the node, and cleans up in the background from now on.
  const auto started = node->signer().start_blocking();
  if (!started) {
    std::cerr << message(started.error()) << '\n';
    return 1;
  }

  // SignEffects::kNone: a local key signs unseen, so the sign function may be called before this node holds the duty.
  // What it returns leaves the signer only when the database has confirmed it, and is destroyed otherwise.
  const auto key = std::make_shared<const SecretKey>(example_key());
  auto sign_locally =
      node->blocking([key](const SignRequest& request) -> SignOutcome { return sign(*key, request.message_hash); });
  const auto duty =
      node->signer().sign_with_protection_blocking(block_proposal(*key), sign_locally, SignEffects::kNone);
  if (duty) {
    std::cout << "signed: " << duty->signature.to_string() << '\n';
  } else if (const auto* already = std::get_if<DutyAlreadySigned>(&duty.error()); already && already->signature) {
    std::cout << "signed before, by " << already->signed_by << ": " << already->signature->to_string() << '\n';
  } else {
    std::cerr << message(duty.error()) << '\n';
  }

  // Finishes or refuses what is in flight, gives the node id back and closes the database.
  node->stop();
  return duty || std::holds_alternative<DutyAlreadySigned>(duty.error()) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " DATABASE_URL\n";
    return 2;
  }
  return run(argv[1]);
} catch (const StartupError& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
