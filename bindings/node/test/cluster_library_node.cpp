// A node of the library in the cluster of cluster.test.mjs: cluster_library_node URL NODE-ID. It speaks as
// cluster_node.mjs does.

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "hasigner/factory/ha_node.hpp"

namespace {

using namespace hasigner;

constexpr std::string_view kRollup = "0x5fbdb2315678afecb367f032d93f642f64180aa3";
constexpr std::string_view kValidator = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";

void say(const nlohmann::json& line) {
  std::cout << line.dump() + "\n" << std::flush;
}

/// Even slots have the same data everywhere, odd ones the node's own.
MessageHash hash_of(std::uint64_t slot, const std::string& node_id) {
  std::uint64_t own = 0;
  for (const char c : node_id) own += static_cast<unsigned char>(c);
  char text[67];
  std::snprintf(text, sizeof(text), "0x%032llx%032llx", static_cast<unsigned long long>(slot),
                static_cast<unsigned long long>(slot % 2 == 0 ? 0 : own % 65'536));
  return MessageHash::parse(text).value();
}

SignOutcome sign(const SignRequest& request) {
  std::this_thread::sleep_for(milliseconds(request.context.slot.value() % 7));
  Signature signature;
  std::ranges::copy(request.message_hash.bytes(), signature.bytes().begin());
  signature.bytes().back() = 27;
  return signature;
}

struct Refusal {
  nlohmann::json operator()(const DutyAlreadySigned& e) const {
    return {{"refused", "DutyAlreadySignedError"}, {"by", e.signed_by}};
  }
  nlohmann::json operator()(const SlashingProtection& e) const {
    return {{"refused", "SlashingProtectionError"}, {"by", e.signed_by}};
  }
  nlohmann::json operator()(const SigningError& e) const {
    return {{"refused", kind_name(e)}, {"message", message(e)}};
  }
};

void race(HaNode& node, const std::string& node_id, std::uint64_t from, std::uint64_t count) {
  std::vector<SignCall> calls;
  for (std::uint64_t slot = from; slot < from + count; ++slot) {
    const SigningContext context{
        DutyType::kAttestation, Slot::from(slot).value(), BlockNumber::from(1).value(), {}, {}};
    calls.push_back({{EthAddress::parse(kValidator).value(), hash_of(slot, node_id), context}, node.blocking(sign)});
  }
  const auto results = node.signer().sign_many_blocking(std::move(calls));
  for (std::uint64_t i = 0; i < count; ++i) {
    nlohmann::json line{{"released", hash_of(from + i, node_id).to_string()}};
    if (!results[i]) line = std::visit([](const auto& e) { return Refusal{}(e); }, results[i].error());
    line["slot"] = from + i;
    say(line);
  }
  say({{"round", from}});
}

}  // namespace

int main(int count, char** values) {
  if (count != 3) {
    std::cerr << "cluster_library_node URL NODE-ID\n";
    return 2;
  }
  const std::string node_id = values[2];
  HaSignerConfig config{
      .signer = {.node_id = NodeId::parse(node_id).value(), .rollup = EthAddress::parse(kRollup).value()}};
  config.signer.polling_interval = milliseconds(20);
  config.signer.peer_signing_timeout = milliseconds(2000);
  config.database_url = values[1];
  const auto node = create_ha_signer(std::move(config));
  if (!node->signer().start_blocking()) return 1;
  say({{"ready", node_id}});
  for (std::string line; std::getline(std::cin, line);) {
    const auto told = nlohmann::json::parse(line);
    race(*node, node_id, told["from"], told["count"]);
  }
  node->stop();
  return 0;
}
