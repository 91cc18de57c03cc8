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
  EXPECT_EQ(parsed->validators[0].fee_recipient->to_string(), kFee);
  EXPECT_EQ(parsed->validators[0].coinbase, EthAddress::try_parse(kAddress));
  EXPECT_NE(parsed->validators[0].publishers, nullptr);
}

TEST(Keystore, names_what_is_missing_or_unknown) {
  expect_refused(json::object(), "schemaVersion", "missing");
  expect_refused({{"schemaVersion", 3}}, "schemaVersion", "'3'");
  expect_refused({{"schemaVersion", "1"}}, "schemaVersion", "the number 1 or 2");
  expect_refused({{"schemaVersion", 1}}, "validators", "missing");
  expect_refused({{"schemaVersion", 1}, {"validators", json::array()}}, "validators", "at least one");
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

TEST(Keystore, names_what_is_no_account) {
  expect_refused(keystore(kKey.substr(0, 65)), "validators[0].attester", "65 characters (not shown)");
  expect_refused(keystore(kKey.substr(2)), "validators[0].attester", "private key");
  expect_refused(keystore(kKey.substr(0, 65) + "g"), "validators[0].attester", "hexadecimal");
  expect_refused(keystore("0x" + std::string(64, '0')), "validators[0].attester", "order");
  expect_refused(keystore(5), "validators[0].attester", "a number");
  expect_refused(keystore(nullptr), "validators[0].attester", "null");
  expect_refused(keystore(json::array()), "validators[0].attester", "at least one");
  expect_refused(keystore({kKey, {{"mnemonic", "a"}}}), "validators[0].attester[1]", "mnemonic");
  expect_refused(keystore({{"eth", kKey}, {"bls", "0x12"}}), "validators[0].attester.bls", "BLS");
  expect_refused(keystore({{"path", ""}}), "validators[0].attester.path", "path");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", 0}}), "validators[0].attester.addressCount", "from 1");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressCount", 20000}}), "validators[0].attester", "at most 10000");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressIndex", -1}}), "validators[0].attester.addressIndex", "from 0");
  expect_refused(keystore({{"mnemonic", "a"}, {"addressIndex", 1.5}}), "validators[0].attester.addressIndex", "whole");
}

TEST(Keystore, names_what_is_no_remote_signer) {
  for (const char* url : {"", "signer:9000", "ftp://signer", "http://", "https:///path", "http://a b", "http://:1"}) {
    auto document = keystore(kAddress);
    document["remoteSigner"] = url;
    expect_refused(document, "remoteSigner", "a URL");
  }
  auto document = keystore(kAddress);
  document["remoteSigner"] = {{"remoteSignerUrl", "https://s"}, {"certPass", "hunter2"}};
  expect_refused(document, "remoteSigner.certPath", "missing");
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
