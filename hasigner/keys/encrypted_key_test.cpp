#include "hasigner/keys/encrypted_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vectors/vectors.hpp"

namespace hasigner::keys {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(EncryptedKey, opens_the_examples_of_the_definition) {
  // Web3 Secret Storage Definition, version 3. Its scrypt is one that RFC 7914 excludes.
  constexpr const char* kPbkdf2 = R"({"crypto": {"cipher": "aes-128-ctr",
    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46", "kdf": "pbkdf2",
    "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256",
                  "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3})";
  constexpr const char* kScrypt = R"({"crypto": {"cipher": "aes-128-ctr",
    "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c", "kdf": "scrypt",
    "kdfparams": {"dklen": 32, "n": 262144, "p": 8, "r": 1,
                  "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3})";
  for (const auto* example : {kPbkdf2, kScrypt}) {
    const auto key = decrypt_key(example, SecretText("testpassword"), "key.json");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ(to_hex(key->expose()), "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d");
  }
}

TEST(EncryptedKey, opens_what_others_wrote) {
  for (const auto& vector : test::key_vectors().files) {
    const auto key = decrypt_key(vector.json, SecretText(vector.password), "key.json");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ("0x" + to_hex(key->expose()), vector.private_key);
  }
}

TEST(EncryptedKey, opens_what_asks_for_more_derived_bytes_than_are_used) {
  // As ethereumjs-wallet writes with another dklen: the first 32 bytes are those of dklen 32.
  for (const auto& vector : test::key_vectors().files) {
    auto document = json::parse(vector.json);
    document[document.contains("Crypto") ? "Crypto" : "crypto"]["kdfparams"]["dklen"] = 64;
    const auto key = decrypt_key(document.dump(), SecretText(vector.password), "key.json");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ("0x" + to_hex(key->expose()), vector.private_key);
  }
}

TEST(EncryptedKey, says_which_version_it_is) {
  for (const auto& [document, shown] :
       {std::pair("{\"version\": 4}", "4"), std::pair("{}", "missing"), std::pair("{\"version\": []}", "an array")}) {
    const auto key = decrypt_key(document, SecretText("x"), "key.json");
    EXPECT_EQ(key.error().message(), "key.json version is '" + std::string(shown) + "', but must be 3");
  }
}

TEST(EncryptedKey, opens_what_it_wrote_and_only_with_the_password) {
  const auto key = *SecretKey::parse("0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318");
  const auto written = encrypt_key(key, SecretText("hunter2"));
  EXPECT_EQ(*decrypt_key(written, SecretText("hunter2"), "key.json"), key);
  const auto refused = decrypt_key(written, SecretText("hunter3"), "key.json");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "key.json is 'encrypted with another password, or damaged', but must be a key that the password opens");
}

/// The first vector with one member changed.
void expect_refused(const char* pointer, const json& value, const std::string& member) {
  const auto vector = test::key_vectors().files.front();
  auto document = json::parse(vector.json);
  if (document.contains("Crypto")) document["crypto"] = document["Crypto"];
  document.erase("Crypto");
  document[json::json_pointer(pointer)] = value;
  const auto key = decrypt_key(document.dump(), SecretText(vector.password), "key.json");
  ASSERT_FALSE(key) << pointer << value;
  EXPECT_EQ(key.error().field, member.empty() ? "key.json" : "key.json " + member) << key.error().message();
}

TEST(EncryptedKey, names_the_member_that_is_wrong) {
  expect_refused("/version", 4, "version");
  expect_refused("/crypto", 4, "crypto");
  expect_refused("/crypto/cipher", "aes-256-cbc", "crypto.cipher");
  expect_refused("/crypto/cipherparams/iv", "00", "crypto.cipherparams.iv");
  expect_refused("/crypto/ciphertext", "", "crypto.ciphertext");
  expect_refused("/crypto/ciphertext", std::string(66, '0'), "crypto.ciphertext");
  expect_refused("/crypto/ciphertext", "0011", "");
  expect_refused("/crypto/ciphertext", "zz", "crypto.ciphertext");
  expect_refused("/crypto/ciphertext", std::string(64, '0'), "");
  expect_refused("/crypto/mac", std::string(64, '0'), "");
  expect_refused("/crypto/mac", "00", "crypto.mac");
  expect_refused("/crypto/kdf", "argon2", "crypto.kdf");
  expect_refused("/crypto/kdfparams/dklen", 31, "crypto.kdfparams.dklen");
  expect_refused("/crypto/kdfparams/dklen", 1025, "crypto.kdfparams.dklen");
  expect_refused("/crypto/kdfparams/salt", 5, "crypto.kdfparams.salt");
  expect_refused("/crypto/kdfparams/salt", "", "crypto.kdfparams.salt");
  expect_refused("/crypto/kdfparams/n", 1000, "crypto.kdfparams.n");
  expect_refused("/crypto/kdfparams/n", -1024, "crypto.kdfparams.n");
  expect_refused("/crypto/kdfparams/p", 0, "crypto.kdfparams.p");
  expect_refused("/address", "0000000000000000000000000000000000000001", "address");
}

TEST(EncryptedKey, refuses_what_asks_for_more_memory_or_time_than_any_key_should) {
  expect_refused("/crypto/kdfparams/n", 1ULL << 30, "crypto.kdfparams.n");
  expect_refused("/crypto/kdfparams/r", 1ULL << 40, "crypto.kdfparams.r");
  expect_refused("/crypto/kdfparams/p", 1ULL << 40, "crypto.kdfparams.p");
}

}  // namespace
}  // namespace hasigner::keys
