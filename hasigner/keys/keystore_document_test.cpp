#include "hasigner/keys/keystore_document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hasigner::keys {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

const std::string kKey = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
const std::string kAddress = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
const std::string kFee = "0x" + std::string(63, '0') + "5";

json keystore(const json& attester) {
  return {{"schemaVersion", 1}, {"validators", {{{"attester", attester}, {"feeRecipient", kFee}}}}};
}

void expect_accepted(const json& document) {
  const auto parsed = parse_keystore(document.dump(), "keys.json");
  EXPECT_TRUE(parsed) << document << parsed.error().message();
}

void expect_refused(const json& document, const std::string& json_path, const std::string& reason) {
  const auto parsed = parse_keystore(document.dump(), "keys.json");
  ASSERT_FALSE(parsed) << document;
  EXPECT_EQ(parsed.error().field, "keys.json " + json_path) << parsed.error().message();
  EXPECT_THAT(parsed.error().message(), HasSubstr(reason));
  EXPECT_THAT(parsed.error().message(), Not(HasSubstr(kKey.substr(2, 8))));
  EXPECT_THAT(parsed.error().message(), Not(HasSubstr("hunter2")));
}

TEST(Keystore, reads_every_form_of_an_attester) {
  const json remote = {{"address", kAddress}, {"remoteSignerUrl", "https://signer:9000"}};
  const json with_certificate = {
      {"address", kAddress}, {"remoteSignerUrl", "https://s"}, {"certPath", "c.p12"}, {"certPass", "hunter2"}};
  const json file = {{"path", "key.json"}, {"password", "hunter2"}};
  for (const json& attester :
       {json(kKey), json(kAddress), remote, with_certificate, file, json{{"path", "key.json"}},
        json::array({kKey, kAddress, file}), json{{"eth", kKey}}, json{{"eth", file}, {"bls", kKey}},
        json{{"eth", kKey}, {"bls", file}}, json::array({json{{"eth", kKey}}, remote}),
        json{{"mnemonic", "a b c"},
             {"addressIndex", 1},
             {"accountIndex", 2},
             {"addressCount", 3},
             {"accountCount", 4}}}) {
    expect_accepted(keystore(attester));
  }
}

TEST(Keystore, reads_the_fields_of_both_versions) {
  auto document = keystore(kKey);
  document["slasher"] = kAddress;
  document["remoteSigner"] = "http://localhost:9000";
  document["fundingAccount"] = kKey;
  document["prover"] = {{"id", kAddress}, {"publisher", {kKey}}};
  document["validators"][0]["remoteSigner"] = {{"remoteSignerUrl", "https://s"}};
  document["validators"][0]["publisher"] = {kKey, kAddress};
  document["validators"][0]["coinbase"] = kAddress;
  expect_accepted(document);
  document["coinbase"] = kAddress;
  expect_refused(document, "coinbase", "unknown field");
  document["schemaVersion"] = 2;
  expect_accepted(document);
}

/// The doubts of a document that is accepted.
std::string doubts(const json& document) {
  const auto parsed = parse_keystore(document.dump(), "keys.json");
  if (!parsed) return "refused: " + parsed.error().message();
  std::string all;
  for (const auto& doubt : parsed->doubts) all += doubt + "\n";
  return all;
}

TEST(Keystore, takes_null_for_an_absent_field) {
  // As the schema of @aztec/node-keystore 4.1.2 does for each of these.
  auto document = keystore({{"eth", kKey}, {"bls", nullptr}});
  for (const auto* field : {"slasher", "remoteSigner", "prover", "fundingAccount"}) document[field] = nullptr;
  auto& validator = document["validators"][0];
  for (const auto* field : {"coinbase", "publisher", "remoteSigner", "fundingAccount"}) validator[field] = nullptr;
  EXPECT_EQ(doubts(document), "");
  validator["publisher"] = {
      {"address", kAddress}, {"remoteSignerUrl", "http://s"}, {"certPath", nullptr}, {"certPass", nullptr}};
  validator["remoteSigner"] = {{"remoteSignerUrl", "http://s"}, {"certPath", nullptr}, {"certPass", nullptr}};
  EXPECT_EQ(doubts(document), "");
  document["schemaVersion"] = 2;
  for (const auto* field : {"publisher", "coinbase", "feeRecipient"}) document[field] = nullptr;
  EXPECT_EQ(doubts(document), "");
  document["feeRecipient"] = kFee;
  validator["feeRecipient"] = nullptr;
  EXPECT_EQ(doubts(document), "");
  document["feeRecipient"] = nullptr;
  expect_refused(document, "validators[0].feeRecipient", "missing");
  expect_refused({{"schemaVersion", 1}, {"validators", nullptr}}, "validators", "missing");
  expect_refused(keystore({{"path", nullptr}, {"password", "x"}}), "validators[0].attester", "an account");
  expect_refused(keystore({{"eth", nullptr}, {"bls", kKey}}), "validators[0].attester.eth", "null");
  // Strict all the same: the field of another form is unknown.
  expect_refused(keystore({{"address", kAddress}, {"remoteSignerUrl", "http://s"}, {"path", nullptr}}),
                 "validators[0].attester.path", "unknown field");
  expect_refused({{"schemaVersion", 1}, {"validators", json::array()}, {"coinbase", nullptr}}, "coinbase", "unknown");
}

TEST(Keystore, doubts_what_aztecs_node_refuses_although_it_is_clear) {
  // Each is refused by the schema of @aztec/node-keystore 4.1.2.
  EXPECT_THAT(doubts(keystore({{"mnemonic", "a"}, {"addressIndex", nullptr}})),
              HasSubstr("attester.addressIndex is null, which Aztec's node refuses"));
  auto document = keystore(kKey);
  document["validators"][0]["coinbase"] = "0x2B5ad5c4795c026514f8317c7a215e218dccd6cf";
  EXPECT_THAT(doubts(document), HasSubstr("validators[0].coinbase is an address whose letter case does not match"));
  document["validators"][0]["coinbase"] = "0X" + kAddress.substr(2);
  EXPECT_THAT(doubts(document), HasSubstr("begins with 0X, which Aztec's node refuses"));
  document["validators"][0].erase("coinbase");
  document["validators"][0]["feeRecipient"] = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
  EXPECT_THAT(doubts(document), HasSubstr("validators[0].feeRecipient is not an Aztec address"));
  document["validators"][0]["feeRecipient"] = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000";
  EXPECT_EQ(doubts(document), "");
}

TEST(Keystore, accepts_what_aztecs_node_accepts) {
  // Each is accepted by the schema of @aztec/node-keystore 4.1.2.
  auto document = keystore(kAddress.substr(2));
  auto& validator = document["validators"][0];
  validator["coinbase"] = std::string(40, 'a');
  EXPECT_EQ(doubts(document), "");
  validator["coinbase"] = std::string(40, 'A');
  EXPECT_EQ(doubts(document), "");
  validator["publisher"] = json::array();
  document["slasher"] = json::array();
  EXPECT_EQ(doubts(document), "");
  document["prover"] = {{"id", kAddress.substr(2)}, {"publisher", json::array()}};
  EXPECT_EQ(doubts(document), "");
  EXPECT_THAT(doubts({{"schemaVersion", 1}, {"validators", json::array()}}), HasSubstr("nothing is signed"));
  EXPECT_THAT(doubts(keystore(json::array())), HasSubstr("this validator signs nothing"));
  validator["remoteSigner"] = {{"remoteSignerUrl", " https://s:9000/rpc\r\n"}, {"certPath", ""}, {"certPass", "x"}};
  EXPECT_EQ(doubts(document),
            "keys.json validators[0].remoteSigner.certPass opens nothing, since there is no certPath\n");
  auto parsed = parse_keystore(document.dump(), "keys.json");
  EXPECT_EQ(parsed->validators[0].remote_signer->url, "https://s:9000/rpc");
  EXPECT_EQ(parsed->validators[0].remote_signer->cert_path, std::nullopt);
  validator["remoteSigner"] = {{"remoteSignerUrl", "HTTP://s:9000"}, {"certPath", "c.p12"}, {"certPass", "x"}};
  EXPECT_EQ(doubts(document),
            "keys.json validators[0].remoteSigner.certPath is not used, since the URL begins with http:// and not with "
            "https://\n");
  parsed = parse_keystore(document.dump(), "keys.json");
  EXPECT_EQ(parsed->validators[0].remote_signer->cert_path, std::nullopt);
}

TEST(Keystore, says_of_a_refused_value_what_is_no_secret) {
  expect_refused(keystore(kKey + "\n"), "validators[0].attester", "67 characters with white space at its edges (not");
  expect_refused(keystore("x"), "validators[0].attester", "a text of 1 character (not shown)");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", -1}}), "validators[0].attester.addressCount", "'-1'");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", "2"}}), "validators[0].attester.addressCount",
                 "a text of 1 character (not shown)");
  expect_refused(keystore({{"eth", nullptr}}), "validators[0].attester.eth", "null");
}

TEST(Keystore, reads_a_fee_recipient_in_each_form_that_aztecs_node_reads) {
  const auto recipient = [](const json& form) {
    auto document = keystore(kKey);
    document["validators"][0]["feeRecipient"] = form;
    const auto parsed = parse_keystore(document.dump(), "keys.json");
    return parsed ? parsed->validators[0].roles.fee_recipient->to_string() : parsed.error().message();
  };
  EXPECT_EQ(recipient(kFee.substr(2)), kFee);
  json bytes(32, 0);
  bytes[31] = 5;
  EXPECT_EQ(recipient({{"type", "Buffer"}, {"data", bytes}}), kFee);
  // base64 of 31 zeros and a 5, by coreutils.
  EXPECT_EQ(recipient("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAU="), kFee);
  for (const json& wrong : {json("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), json("0x05"), json(5), json::object(),
                            json{{"type", "Buffer"}, {"data", {1, 2}}}, json(kFee + "\n"), json(" " + kFee)}) {
    EXPECT_THAT(recipient(wrong), HasSubstr("an Aztec address"));
  }
}

TEST(Keystore, reads_whole_numbers_however_they_are_written) {
  const auto accepts = [](const std::string& number) {
    return parse_keystore(R"({"schemaVersion":1.0,"validators":[{"attester":{"mnemonic":"a","addressIndex":)" + number +
                              R"(},"feeRecipient":")" + kFee + R"("}]})",
                          "keys.json")
        .has_value();
  };
  for (const auto* number : {"0", "-0", "1.0", "1e3", "20e-1", "2147483647"}) EXPECT_TRUE(accepts(number)) << number;
  for (const auto* number : {"-1", "0.5", "1e-1", "2147483648", "1e99", "1e999", "\"1\"", "true"}) {
    EXPECT_FALSE(accepts(number)) << number;
  }
}

TEST(Keystore, gives_the_defaults_of_version_2_to_validators_that_say_nothing) {
  auto document = keystore(kKey);
  document["schemaVersion"] = 2;
  document["validators"][0].erase("feeRecipient");
  expect_refused(document, "validators[0].feeRecipient", "missing");
  document["feeRecipient"] = kFee;
  document["coinbase"] = kAddress;
  document["publisher"] = kKey;
  const auto parsed = parse_keystore(document.dump(), "keys.json");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->defaults.fee_recipient->to_string(), kFee);
  EXPECT_EQ(parsed->defaults.coinbase, EthAddress::try_parse(kAddress));
  EXPECT_NE(parsed->defaults.publishers, nullptr);
}

TEST(Keystore, names_what_is_missing_or_unknown) {
  expect_refused(json::object(), "schemaVersion", "missing");
  expect_refused({{"schemaVersion", 3}}, "schemaVersion", "'3'");
  expect_refused({{"schemaVersion", "1"}}, "schemaVersion", "the number 1 or 2");
  expect_refused({{"schemaVersion", 1}}, "validators", "missing");
  expect_refused({{"schemaVersion", 1}, {"validators", {json::object()}}}, "validators[0].attester", "missing");
  expect_accepted({{"schemaVersion", 1}, {"prover", kKey}});
  auto document = keystore(kKey);
  document["validators"][0]["atester"] = kKey;
  expect_refused(document, "validators[0].atester", "unknown field");
  expect_refused(keystore({{"path", "p"}, {"pass", "hunter2"}}), "validators[0].attester.pass", "path, password");
  expect_refused(keystore({{"eth", kKey}, {"blz", kKey}}), "validators[0].attester.blz", "eth, bls");
  expect_refused(keystore({{"mnemonic", "a"}, {"count", 1}}), "validators[0].attester.count", "unknown field");
  expect_refused(keystore({{"address", kAddress}}), "validators[0].attester.remoteSignerUrl", "missing");
}

TEST(Keystore, names_what_is_not_an_account) {
  expect_refused(keystore(kKey.substr(0, 65)), "validators[0].attester", "65 characters (not shown)");
  expect_refused(keystore(kKey.substr(2)), "validators[0].attester", "private key");
  expect_refused(keystore(kKey.substr(0, 65) + "g"), "validators[0].attester", "hexadecimal");
  expect_refused(keystore("0x" + std::string(64, '0')), "validators[0].attester", "order");
  expect_refused(keystore(5), "validators[0].attester", "a number");
  expect_refused(keystore(nullptr), "validators[0].attester", "null");
  expect_refused(keystore({kKey, {{"mnemonic", "a"}}}), "validators[0].attester[1]", "mnemonic");
  expect_refused(keystore({{"eth", kKey}, {"bls", "0x12"}}), "validators[0].attester.bls", "BLS");
  expect_refused(keystore({{"path", ""}}), "validators[0].attester.path", "path");
  expect_refused(keystore({{"mnemonic", ""}}), "validators[0].attester.mnemonic", "a mnemonic");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", 0}}), "validators[0].attester.addressCount", "from 1");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", 20000}}), "validators[0].attester", "at most 10000");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressIndex", -1}}), "validators[0].attester.addressIndex", "from 0");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressIndex", 1.5}}), "validators[0].attester.addressIndex", "whole");
}

TEST(Keystore, names_what_is_not_a_remote_signer) {
  for (const char* url : {"", "signer:9000", "ftp://signer", "http://", "https:///path", "http://a b", "http://:1"}) {
    auto document = keystore(kAddress);
    document["remoteSigner"] = url;
    expect_refused(document, "remoteSigner", "a URL");
  }
}

TEST(Keystore, shows_a_url_without_its_secrets) {
  const auto shown = [](std::string url) { return RemoteSigner{.url = std::move(url)}.shown_url(); };
  EXPECT_EQ(shown("https://signer:9000/path"), "https://signer:9000/path");
  EXPECT_EQ(shown("https://user:hunter2@signer:9000/path?token=hunter2#x"), "https://signer:9000/path");
  EXPECT_EQ(shown("https://user:a@b@signer"), "https://signer");
}

TEST(Keystore, names_the_file_that_is_not_json) {
  const auto parsed = parse_keystore("{", "keys.json");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().field, "keys.json");
}

}  // namespace
}  // namespace hasigner::keys
