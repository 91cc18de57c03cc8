#include "hasigner/crypto/eip712.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <map>

#include "hasigner/crypto/secp256k1.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(TypedData, has_the_digest_and_signature_that_viem_gives) {
  const auto vectors = test::signed_data_vectors();
  const auto key = SecretKey::parse(vectors.private_key);
  for (const auto& vector : vectors.typed_data) {
    const auto typed_data = parse_typed_data(vector.json);
    ASSERT_TRUE(typed_data) << vector.name << ": " << typed_data.error().message();
    EXPECT_EQ(typed_data->digest.to_string(), vector.digest) << vector.name;
    EXPECT_EQ(sign(*key, typed_data->digest).to_string(), vector.signature) << vector.name;
    EXPECT_EQ(typed_data->json, vector.json);
  }
}

/// The example of EIP-712, which says that its digest is this one.
json mail() {
  return json::parse(R"({
    "types": {
      "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                       {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
      "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
      "Mail": [{"name": "from", "type": "Person"}, {"name": "to", "type": "Person"}, {"name": "contents", "type": "string"}]
    },
    "primaryType": "Mail",
    "domain": {"name": "Ether Mail", "version": "1", "chainId": 1,
               "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
    "message": {"from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
                "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
                "contents": "Hello, Bob!"}})");
}
constexpr const char* kMailDigest = "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";

TEST(TypedData, has_the_digest_that_the_eip_states) {
  const auto typed_data = parse_typed_data(mail().dump());
  ASSERT_TRUE(typed_data);
  EXPECT_EQ(typed_data->digest.to_string(), kMailDigest);
}

TEST(TypedData, tells_its_type_and_domain) {
  const auto typed_data = parse_typed_data(mail().dump());
  ASSERT_TRUE(typed_data);
  EXPECT_EQ(typed_data->primary_type, "Mail");
  EXPECT_EQ(typed_data->domain.name, "Ether Mail");
  EXPECT_EQ(typed_data->domain.version, "1");
  EXPECT_EQ(typed_data->domain.chain_id, "1");
  EXPECT_EQ(typed_data->domain.verifying_contract->to_string(), "0xcccccccccccccccccccccccccccccccccccccccc");
}

TEST(TypedData, tells_nothing_that_its_domain_does_not_hash) {
  auto document = mail();
  document["types"]["EIP712Domain"] = {{{"name", "name"}, {"type", "string"}}};
  document["domain"] = {{"name", "Ether Mail"}};
  const auto typed_data = parse_typed_data(document.dump());
  ASSERT_TRUE(typed_data);
  EXPECT_EQ(typed_data->domain.chain_id, std::nullopt);
  EXPECT_EQ(typed_data->domain.verifying_contract, std::nullopt);
}

TEST(TypedData, is_the_same_however_a_number_is_written) {
  for (const json& chain_id : {json(1), json("1"), json("0x1"), json("0x01")}) {
    auto document = mail();
    document["domain"]["chainId"] = chain_id;
    const auto typed_data = parse_typed_data(document.dump());
    ASSERT_TRUE(typed_data) << chain_id;
    EXPECT_EQ(typed_data->digest.to_string(), kMailDigest) << chain_id;
    EXPECT_EQ(typed_data->domain.chain_id, "1");
  }
}

/// go-ethereum writes `"salt": ""` into every domain without one; others write null.
TEST(TypedData, is_the_same_with_fields_that_say_nothing) {
  auto document = mail();
  document["domain"]["salt"] = "";
  document["message"]["to"]["age"] = nullptr;
  auto typed_data = parse_typed_data(document.dump());
  ASSERT_TRUE(typed_data) << typed_data.error().message();
  EXPECT_EQ(typed_data->digest.to_string(), kMailDigest);
  document["types"].erase("EIP712Domain");
  document["domain"]["salt"] = nullptr;
  typed_data = parse_typed_data(document.dump());
  ASSERT_TRUE(typed_data) << typed_data.error().message();
  EXPECT_EQ(typed_data->digest.to_string(), kMailDigest);
}

TEST(TypedData, may_say_null_for_no_domain) {
  auto without = mail();
  without["types"].erase("EIP712Domain");
  auto with_null = without;
  without.erase("domain");
  with_null["domain"] = nullptr;
  const auto expected = parse_typed_data(without.dump());
  const auto typed_data = parse_typed_data(with_null.dump());
  ASSERT_TRUE(expected && typed_data);
  EXPECT_EQ(typed_data->digest, expected->digest);
}

void expect_refused(const json& document, const std::string& json_path, const std::string& reason) {
  const auto typed_data = parse_typed_data(document.dump());
  ASSERT_FALSE(typed_data) << document;
  EXPECT_EQ(typed_data.error().field, json_path) << typed_data.error().message();
  EXPECT_THAT(typed_data.error().message(), HasSubstr(reason));
}

void expect_mail_refused(const char* pointer, const json& value, const std::string& json_path,
                         const std::string& reason) {
  auto document = mail();
  document[json::json_pointer(pointer)] = value;
  expect_refused(document, "typed data " + json_path, reason);
}

TEST(TypedData, names_the_field_that_is_missing_or_too_many) {
  auto document = mail();
  document["message"]["to"].erase("wallet");
  expect_refused(document, "typed data message.to.wallet", "missing");
  expect_mail_refused("/message/to/age", 5, "message.to.age", "would not be signed");
  expect_mail_refused("/domain/salt", "0x00", "domain.salt", "would not be signed");
  expect_mail_refused("/message/to/age", 0, "message.to.age", "would not be signed");
  expect_mail_refused("/message/to", nullptr, "message.to", "an object");
  document = mail();
  document["domain"].erase("chainId");
  expect_refused(document, "typed data domain.chainId", "missing");
}

TEST(TypedData, names_the_value_that_has_another_type) {
  expect_mail_refused("/message/contents", 5, "message.contents", "a string");
  expect_mail_refused("/message/contents", nullptr, "message.contents", "a string");
  expect_mail_refused("/message/to/wallet", "0x1234", "message.to.wallet", "an address");
  // viem and ethers refuse it, too: one letter has another case than EIP-55 says.
  expect_mail_refused("/message/to/wallet", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD82a", "message.to.wallet",
                      "EIP-55");
  expect_mail_refused("/domain/verifyingContract", "0xcCcCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
                      "domain.verifyingContract", "EIP-55");
  expect_mail_refused("/domain/chainId", "one", "domain.chainId", "uint256");
  expect_mail_refused("/domain/chainId", -1, "domain.chainId", "uint256");
  expect_mail_refused("/domain/chainId", 1.5, "domain.chainId", "uint256");
}

/// One field of a given type.
json one(const std::string& type, const json& value) {
  return {{"types", {{"One", {{{"name", "it"}, {"type", type}}}}, {"Other", json::array()}}},
          {"primaryType", "One"},
          {"domain", json::object()},
          {"message", {{"it", value}}}};
}

TEST(TypedData, names_the_value_that_its_type_does_not_hold) {
  expect_refused(one("uint8", 256), "typed data message.it", "uint8");
  expect_refused(one("int8", -129), "typed data message.it", "int8");
  expect_refused(one("bool", "true"), "typed data message.it", "true or false");
  expect_refused(one("bytes4", "0x123456"), "typed data message.it", "8 hexadecimal digits");
  expect_refused(one("bytes", "0x123"), "typed data message.it", "even number");
  expect_refused(one("bytes", "1234"), "typed data message.it", "even number");
  expect_refused(one("bytes", ""), "typed data message.it", "even number");
  expect_refused(one("bytes", "0X12"), "typed data message.it", "even number");
  expect_refused(one("bytes1", "0X12"), "typed data message.it", "2 hexadecimal digits");
  expect_refused(one("address", "0X" + std::string(40, '1')), "typed data message.it", "an address: 0x");
  expect_refused(one("uint8[]", 1), "typed data message.it", "an array");
  expect_refused(one("uint8[]", {1, 2, 300}), "typed data message.it[2]", "uint8");
  expect_refused(one("uint8[2]", {1}), "typed data message.it", "an array of 2");
  expect_refused(one("uint8[2][]", {{1, 2}, {1, 2, 3}}), "typed data message.it[1]", "an array of 2");
  expect_refused(one("Other[]", {json::object(), {{"a", 1}}}), "typed data message.it[1].a", "would not be signed");
}

TEST(TypedData, refuses_types_that_are_none) {
  for (const char* type : {"uint",      "int",      "uint7",    "uint264", "uint08", "int0",     "bytes0",
                           "bytes33",   "bytes01",  "Stranger", "uint8[",  "uint8]", "uint8[0]", "uint8[01]",
                           "uint8[-1]", "uint8[x]", "[]",       "",        "bool ",  " bool"}) {
    expect_refused(one(type, 1), "typed data types.One[0].type", "a type of EIP-712");
  }
}

TEST(TypedData, refuses_names_that_could_be_taken_for_something_else) {
  expect_mail_refused("/types/uint7", json::array(), "types.uint7", "basic type");
  expect_mail_refused("/types/bytes", json::array(), "types.bytes", "basic type");
  expect_mail_refused("/types/A(uint8 b)", json::array(), "types.A(uint8 b)", "letters");
  expect_mail_refused("/types/Mail/0/name", "a,uint8 b", "types.Mail[0].name", "letters");
  expect_mail_refused("/types/Mail/1/name", "from", "types.Mail[1].name", "no other field");
  expect_mail_refused("/types/Mail/1/indexed", true, "types.Mail[1]", "both strings");
}

TEST(TypedData, refuses_what_lacks_a_part) {
  for (const char* part : {"types", "primaryType", "message"}) {
    auto document = mail();
    document.erase(part);
    expect_refused(document, std::string("typed data ") + part, "missing");
  }
  expect_mail_refused("/primaryType", "Letter", "primaryType", "one of the types");
  expect_mail_refused("/extra", 1, "extra", "unknown field");
  expect_refused(json::array(), "typed data", "an object");
  EXPECT_EQ(parse_typed_data("{").error().field, "typed data");
}

// ---- Bounds

/// `count` types that each refer to the next one, the last one to the first.
json ring(std::size_t count) {
  json types = json::object();
  for (std::size_t i = 0; i < count; ++i) {
    types["T" + std::to_string(i)] = {{{"name", "a"}, {"type", "T" + std::to_string((i + 1) % count) + "[]"}}};
  }
  return types;
}

TEST(TypedData, is_bounded_in_types_and_fields) {
  json document = {{"types", ring(kTypedDataLimits.types)},
                   {"primaryType", "T0"},
                   {"domain", json::object()},
                   {"message", {{"a", json::array()}}}};
  EXPECT_TRUE(parse_typed_data(document.dump()));
  document["types"] = ring(kTypedDataLimits.types + 1);
  expect_refused(document, "typed data types", "257 types");
  document = one("bool", true);
  for (std::size_t i = 1; i < kTypedDataLimits.fields; ++i) {
    document["types"]["One"].push_back({{"name", "f" + std::to_string(i)}, {"type", "bool"}});
    document["message"]["f" + std::to_string(i)] = true;
  }
  EXPECT_TRUE(parse_typed_data(document.dump()));
  document["types"]["One"].push_back({{"name", "last"}, {"type", "bool"}});
  expect_refused(document, "typed data types.One", "at most 1024 fields");
}

TEST(TypedData, is_bounded_in_nesting) {
  const auto nested = [](std::size_t arrays) {
    std::string type = "bool";
    json value = true;
    for (std::size_t i = 0; i < arrays; ++i) {
      type += "[]";
      value = json::array({value});
    }
    return one(type, value);
  };
  EXPECT_TRUE(parse_typed_data(nested(kTypedDataLimits.nesting - 1).dump()));
  // A value, one below the message.
  auto refused = parse_typed_data(nested(kTypedDataLimits.nesting).dump());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("at most 50"));
  refused = parse_typed_data(nested(kTypedDataLimits.nesting + 1).dump());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "typed data types.One[0].type");
  json tree = nullptr;
  for (std::size_t i = 0; i < kTypedDataLimits.nesting - 1; ++i) tree = {{"a", json::array({tree})}};
  const json document = {{"types", ring(1)}, {"primaryType", "T0"}, {"domain", json::object()}, {"message", tree}};
  EXPECT_FALSE(parse_typed_data(document.dump()));
}

/// Every one of the types has a value, and its encoding has all the others in it.
TEST(TypedData, is_bounded_in_what_its_encoded_types_have_together) {
  const auto document_of = [](std::size_t count) {
    json types = json::object(), all = json::array(), message = json::object();
    for (std::size_t i = 0; i < count; ++i) {
      const auto name = "T" + std::to_string(i);
      all.push_back({{"name", "f" + std::to_string(i)}, {"type", name + "[]"}});
      types[name] = {{{"name", "x"}, {"type", "All[]"}}};
      message["f" + std::to_string(i)] = {{{"x", json::array()}}};
    }
    types["All"] = all;
    return json{{"types", types}, {"primaryType", "All"}, {"domain", json::object()}, {"message", message}};
  };
  EXPECT_TRUE(parse_typed_data(document_of(30).dump()));
  expect_refused(document_of(200), "typed data types", "at most 65536 bytes of encoded types");
}

TEST(TypedData, is_bounded_in_encoded_values) {
  const std::string text(kTypedDataLimits.encoded_values / 2, 'a');
  EXPECT_TRUE(parse_typed_data(one("string", text).dump()));
  expect_refused(one("string[]", {text, text}), "typed data message.it[1]", "bytes of encoded values");
}

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Seconds of this thread that the document takes to read: the least of several, which other processes disturb least.
double seconds_for(const std::string& document) {
  double least = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = thread_seconds();
    static_cast<void>(parse_typed_data(document));
    least = std::min(least, thread_seconds() - start);
  }
  return least;
}

std::string repeated(std::size_t count, const std::function<std::string(std::size_t)>& part) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? "," : "") + part(i);
  return text;
}

std::string document_of(const std::string& types, const std::string& message) {
  return R"({"types":{)" + types + R"(},"primaryType":"One","domain":{},"message":{)" + message + "}}";
}

/// Documents that took time squared, each about as long as its argument says.
const std::map<std::string, std::string (*)(std::size_t)> kHostile = {
    {"types",
     [](std::size_t size) {
       return document_of(
           R"("One":[],)" +
               repeated(size / 30,
                        [](auto i) { return R"("T)" + std::to_string(i) + R"(":[{"name":"a","type":"One"}])"; }),
           "");
     }},
    {"fields",
     [](std::size_t size) {
       return document_of(
           R"("One":[)" +
               repeated(size / 40, [](auto i) { return R"({"name":"f)" + std::to_string(i) + R"(","type":"bool"})"; }) +
               "]",
           "");
     }},
    {"members",
     [](std::size_t size) {
       return document_of(R"("One":[])",
                          repeated(size / 14, [](auto i) { return R"("m)" + std::to_string(i) + R"(":null)"; }));
     }},
    {"long names",
     [](std::size_t size) {
       const std::string name(size / 2, 'A');
       return document_of(R"("One":[{"name":"a","type":")" + name + R"([]"}],")" + name + R"(":[])",
                          R"("a":[)" + repeated(size / 6, [](auto) { return std::string("{}"); }) + "]");
     }},
    {"deep paths", [](std::size_t size) {
       std::string type = "bool[]", open, close;
       for (int i = 0; i < 40; ++i) {
         type += "[]";
         open += "[";
         close += "]";
       }
       return document_of(R"("One":[{"name":")" + std::string(80, 'a') + R"(","type":")" + type + R"("}])",
                          R"(")" + std::string(80, 'a') + R"(":)" + open + "[" +
                              repeated(size / 5, [](auto) { return std::string("true"); }) + "]" + close);
     }}};

TEST(TypedData, takes_time_in_proportion_to_its_size) {
  for (const auto& [name, document] : kHostile) {
    const double ratio = seconds_for(document(400'000)) / seconds_for(document(100'000));
    // In proportion: 4. Squared: 16.
    EXPECT_LT(ratio, 9) << name;
    EXPECT_LT(seconds_for(document(250'000)), 0.25) << name;
  }
}

}  // namespace
}  // namespace hasigner
