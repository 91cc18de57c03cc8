#include "hasigner/keys/open_key_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "tests/support/web3signer_server.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner::keys {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kFee = "0x" + std::string(63, '0') + "5";
const std::string kKeyOne = "0x" + std::string(63, '0') + "1";
// The address of key 1, and an address whose key is not in these files.
const std::string kAddressOne = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
const std::string kStranger = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf";

std::string vectors_address() {
  return address_of(*SecretKey::parse(test::signed_data_vectors().private_key)).to_string();
}

SigningContext transactions() {
  return {.duty_type = DutyType::kTxs, .slot = *Slot::from(1)};
}

/// A file of one validator, beside a remote signer that holds the key of the vectors.
class OpenKeyStore : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new test::Web3SignerServer({vectors_address()}); }
  static void TearDownTestSuite() { delete server_; }
  static test::Web3SignerServer& server() { return *server_; }

  OpenKeyStore() {
    std::string pattern = fs::temp_directory_path() / "hasigner-open-keys-XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
    settings_.paths = {directory_};
  }
  ~OpenKeyStore() override {
    threads_.join();
    fs::remove_all(directory_);
  }

  void write(const json& attesters, const std::string& remote, const json& more = json::object()) {
    json validator = {{"attester", attesters}, {"feeRecipient", kFee}};
    validator.update(more);
    json document = {{"schemaVersion", 1}, {"validators", json::array({validator})}};
    if (!remote.empty()) document["remoteSigner"] = remote;
    std::ofstream(directory_ / "keys.json") << document.dump();
    chmod((directory_ / "keys.json").c_str(), 0600);
  }
  template <class T>
  T run(asio::awaitable<T> work) {
    return asio::co_spawn(threads_, std::move(work), asio::use_future).get();
  }
  KeyStoreExecutors executors() { return {threads_.get_executor(), threads_.get_executor()}; }
  auto open() { return run(open_key_store(settings_, executors())); }

  fs::path directory_;
  KeyStoreSettings settings_;
  asio::thread_pool threads_{2};

 private:
  static test::Web3SignerServer* server_;
};
test::Web3SignerServer* OpenKeyStore::server_ = nullptr;

TEST_F(OpenKeyStore, signs_with_keys_here_and_elsewhere) {
  write({kKeyOne, vectors_address()}, server().url());
  const auto store = open();
  ASSERT_TRUE(store) << store.error().reason;
  const auto vector = test::signed_data_vectors().typed_data.at(0);
  const auto payload = std::make_shared<const Payload>(*parse_typed_data(vector.json));
  const auto all = run((*store)->sign_with_all(payload, transactions()));
  ASSERT_EQ(all.signatures.size(), 2U) << message(all.errors.at(0).error);
  EXPECT_EQ(all.signatures[0].validator.to_string(), kAddressOne);
  EXPECT_EQ(recover(digest_of(*payload), all.signatures[0].signature), all.signatures[0].validator);
  EXPECT_EQ(all.signatures[1].signature.to_string(), vector.signature);
}

TEST_F(OpenKeyStore, signs_transactions_with_what_the_files_name_as_publishers_and_with_no_attester) {
  const auto one = *EthAddress::parse(kAddressOne);
  const MessageHash digest;
  write({kKeyOne}, "");
  auto store = open();
  ASSERT_TRUE(store) << store.error().reason;
  EXPECT_TRUE((*store)->publisher_addresses().empty());
  EXPECT_EQ((*store)->publishers(one)->size(), 1U) << "as in the Aztec node, whose publisher is then the attester";
  auto refused = run((*store)->sign_transaction(one, digest));
  ASSERT_FALSE(refused);
  EXPECT_THAT(message(refused.error()), HasSubstr("under \"publisher\""));

  write({kKeyOne}, "", {{"publisher", {kKeyOne}}});
  store = open();
  ASSERT_TRUE(store) << store.error().reason;
  EXPECT_EQ((*store)->publisher_addresses(), std::vector{one});
  EXPECT_EQ(recover(digest, *run((*store)->sign_transaction(one, digest))), one);

  write({kKeyOne}, server().url(), {{"publisher", vectors_address()}});
  store = open();
  ASSERT_TRUE(store) << store.error().reason;
  refused = run((*store)->sign_transaction(*EthAddress::parse(vectors_address()), digest));
  ASSERT_FALSE(refused);
  EXPECT_THAT(message(refused.error()), HasSubstr("let the node ask that one"));
}

TEST_F(OpenKeyStore, asks_each_remote_signer_once) {
  const auto url = server().url("capitals");
  write({vectors_address()}, url, {{"publisher", vectors_address()}});
  ASSERT_TRUE(open());
  EXPECT_EQ(server().counts().at("POST /capitals"), 1);
}

TEST_F(OpenKeyStore, names_the_attester_or_publisher_that_a_remote_signer_lacks) {
  write({vectors_address(), kStranger}, server().url());
  auto store = open();
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, KeyStoreError::Kind::kInvalid);
  EXPECT_THAT(store.error().reason, HasSubstr(to_checksum(*EthAddress::parse(kStranger))));
  EXPECT_THAT(store.error().reason, HasSubstr("keys.json validators[0].attester[1]"));
  EXPECT_THAT(store.error().reason, HasSubstr(server().url()));
  EXPECT_THAT(store.error().reason, testing::Not(HasSubstr(to_checksum(*EthAddress::parse(vectors_address())))));
  write({vectors_address()}, server().url(), {{"publisher", kStranger}});
  store = open();
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().reason, HasSubstr("validators[0].publisher"));
}

TEST_F(OpenKeyStore, tells_a_remote_signer_that_does_not_answer_from_a_wrong_file) {
  settings_.remote.call_timeout = milliseconds(200);
  for (const std::string& url :
       {std::string("http://127.0.0.1:1"), server().url("never"), server().url("status/503")}) {
    write({vectors_address()}, url);
    const auto store = open();
    ASSERT_FALSE(store) << url;
    EXPECT_EQ(store.error().kind, KeyStoreError::Kind::kUnavailable) << store.error().reason;
  }
  write({"junk"}, "");
  EXPECT_EQ(open().error().kind, KeyStoreError::Kind::kInvalid);
  write({vectors_address()}, server().tls_url("server"));
  settings_.remote.ca_file = directory_ / "missing.pem";
  EXPECT_EQ(open().error().kind, KeyStoreError::Kind::kInvalid);
}

TEST_F(OpenKeyStore, keeps_the_keys_it_has_when_the_new_ones_are_wrong) {
  const auto node =
      create_ha_signer({.signer = {.node_id = *NodeId::parse("node-1"), .rollup = *EthAddress::parse(kStranger)},
                        .database_url = "sqlite:" + (directory_ / "duties.db").string(),
                        .pool = {}});
  write({kKeyOne}, "");
  HaKeyStore store(*open(), node->signer());
  const auto one = *EthAddress::parse(kAddressOne);
  write({kStranger}, server().url());
  EXPECT_FALSE(run(reload_key_store(settings_, executors(), store)));
  EXPECT_EQ(store.attester_addresses(), std::vector{one});
  write({vectors_address()}, server().url());
  ASSERT_TRUE(run(reload_key_store(settings_, executors(), store)));
  EXPECT_EQ(store.attester_addresses(), std::vector{*EthAddress::parse(vectors_address())});
  EXPECT_FALSE(store.has_attester(one));
}

}  // namespace
}  // namespace hasigner::keys
