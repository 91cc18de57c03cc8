#include "hasigner/crypto/transaction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

using nlohmann::json;
using testing::HasSubstr;

Parsed<Transaction> read(const json& transaction, std::uint64_t chain_id) {
  return read_transaction(*JsonValue::parse(transaction.dump(), "transaction"), chain_id);
}

TEST(Transaction, signed_is_what_viem_makes) {
  const auto file = json::parse(std::ifstream(HASIGNER_VECTORS "/transactions.json"));
  const auto key = *SecretKey::parse(file.at("privateKey").get<std::string>());
  ASSERT_GE(file.at("transactions").size(), 12U);
  for (const auto& vector : file.at("transactions")) {
    const auto name = vector.at("name").get<std::string>();
    const auto transaction = read(vector.at("transaction"), vector.at("chainId").get<std::uint64_t>());
    ASSERT_TRUE(transaction) << name << ": " << transaction.error().message();
    EXPECT_EQ(signed_transaction(*transaction, sign(key, transaction->digest)), vector.at("signed").get<std::string>())
        << name;
  }
}

json plain() {
  return {{"from", "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"},
          {"to", "0x2222222222222222222222222222222222222222"},
          {"data", "0x"},
          {"nonce", "0x1"},
          {"gas", "0x5208"},
          {"maxFeePerGas", "0x10"},
          {"maxPriorityFeePerGas", "0x1"}};
}

TEST(Transaction, names_what_is_missing_or_wrong) {
  ASSERT_TRUE(read(plain(), 1));
  for (const std::string name : {"from", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas"}) {
    auto changed = plain();
    changed.erase(name);
    const auto refused = read(changed, 1);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().field, "transaction." + name);
  }
  const std::pair<const char*, json> wrong[] = {
      {"to", "0x12"},
      {"data", "0x1"},
      {"nonce", "0x10000000000000000"},
      {"gas", "much"},
      {"value", "-1"},
      {"type", "0x4"},
      {"chainId", "0x2"},
      {"gasPrice", "0x1"},
      {"input", "0x01"},
      {"authorizationList", json::array()},
      {"accessList", {{{"address", "0x12"}}}},
  };
  for (const auto& [name, value] : wrong) {
    auto changed = plain();
    changed[name] = value;
    const auto refused = read(changed, 1);
    ASSERT_FALSE(refused) << name;
    EXPECT_THAT(refused.error().message(), HasSubstr(name));
  }
}

TEST(Transaction, a_blob_transaction_needs_a_hash_for_each_blob_and_a_receiver) {
  auto blobs = plain();
  blobs["maxFeePerBlobGas"] = "0x1";
  EXPECT_EQ(read(blobs, 1).error().field, "transaction.blobVersionedHashes");
  blobs["blobVersionedHashes"] = {"0x01" + std::string(62, 'a')};
  EXPECT_TRUE(read(blobs, 1));
  blobs["blobs"] = {"0x" + std::string(262'144, '0'), "0x" + std::string(262'144, '0')};
  EXPECT_EQ(read(blobs, 1).error().field, "transaction.blobs");
  blobs["blobs"] = {"0x00"};
  EXPECT_EQ(read(blobs, 1).error().field, "transaction.blobs");
  blobs.erase("blobs");
  blobs["to"] = nullptr;
  EXPECT_EQ(read(blobs, 1).error().field, "transaction.to");
  blobs["to"] = plain()["to"];
  blobs["blobVersionedHashes"] = {"0x02" + std::string(62, 'a')};
  EXPECT_EQ(read(blobs, 1).error().field, "transaction.blobVersionedHashes");
}

}  // namespace
}  // namespace hasigner
