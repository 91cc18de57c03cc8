// Says what our reader makes of keystore files. It reads the name of a file or folder from each line, and answers each
// with a line of JSON.

#include <iostream>
#include <nlohmann/json.hpp>

#include "hasigner/keys/load_keystores.hpp"

namespace {

using namespace hasigner;
using nlohmann::json;

json validator_json(const keys::Validator& validator) {
  json attesters = json::array(), publishers = json::array(), coinbases = json::array();
  for (const auto& attester : validator.attesters) {
    attesters.push_back(attester.address.to_string());
    coinbases.push_back(validator.coinbase.value_or(attester.address).to_string());
  }
  for (const auto& publisher : validator.publishers) publishers.push_back(publisher.address.to_string());
  return {{"attesters", std::move(attesters)},
          {"coinbases", std::move(coinbases)},
          {"publishers", std::move(publishers)},
          {"feeRecipient", validator.fee_recipient.to_string()}};
}

json verdict_on(const std::string& path) {
  const auto loaded = keys::load_keystores({path});
  if (!loaded) return {{"refusal", loaded.error().message()}};
  json validators = json::array();
  for (const auto& validator : loaded->validators) validators.push_back(validator_json(validator));
  return {{"validators", std::move(validators)}, {"doubts", loaded->doubts}};
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    std::cout << verdict_on(path).dump(-1, ' ', true, json::error_handler_t::replace) << std::endl;
  }
}
