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

/// A small scrypt file of key 17 by @ethersproject/json-wallets 5.8, which Aztec's node opens files with.
std::string file_by_ethers(const char* iv, const char* ciphertext, const char* salt, const char* mac) {
  return json{{"version", 3},
              {"address", "252dae0a4b9d9b80f504f6418acd2d364c0c59cd"},
              {"crypto",
               {{"cipher", "aes-128-ctr"},
                {"cipherparams", {{"iv", iv}}},
                {"ciphertext", ciphertext},
                {"kdf", "scrypt"},
                {"kdfparams", {{"salt", salt}, {"n", 2}, {"dklen", 32}, {"p", 1}, {"r", 8}}},
                {"mac", mac}}}}
      .dump();
}

TEST(EncryptedKey, opens_what_ethers_encrypted_with_a_password_that_it_normalised) {
  const auto opened = [](const std::string& file, const char* password) {
    const auto key = decrypt_key(file, SecretText(password), "key.json");
    return key ? address_of(*key).to_string() : key.error().message();
  };
  const std::string address = "0x252dae0a4b9d9b80f504f6418acd2d364c0c59cd";
  const auto compatible = file_by_ethers("b0888b06daca49dd7b3c2ba55a323c52",
                                         "8e0a19da528a55e51c2f9f1a550550598e263f8fb7e97412b9a5f97e8722f379",
                                         "09d77d3ebb00022d09cac1e82e3dfeb6ca9af336b6eca7da80e9abf5c06c0112",
                                         "a98f8c7b6e480d73f03c8e8af694f0f706547aa5a38262638efcdfe0be38656f");
  EXPECT_EQ(opened(compatible, "clave1\u00BA"), address);
  EXPECT_EQ(opened(compatible, "clave1o"), address);
  EXPECT_THAT(opened(compatible, "clave1\u00AA"), HasSubstr("another password"));
  EXPECT_THAT(opened(compatible, "clave1\u00BA\n"), HasSubstr("(the password has white space at its edges)"));
  const auto decomposed = file_by_ethers("b56aa4c42d54c2204614168fa07c92e1",
                                         "dabc1727bbea7faa88db2cf5a8a0f597aaa954bc9c66829c473ba88d17fa430d",
                                         "0221da7f0320c9f1d80af9f300a5dd4397b5e1cf472abdc836f7d6f37ae6f18f",
                                         "34edf2403fb96167cc51d05e99871d4e8ae1a4442845b13636872a0ef9668d82");
  EXPECT_EQ(opened(decomposed, "Zu\u0308rich\u00B2"), address);
  EXPECT_EQ(opened(decomposed, "Z\u00FCrich\u00B2"), address);
  const auto wide = file_by_ethers("3ca2eba4b687f684447cca1c1e4646ee",
                                   "e879cda98ba908b7c8f788cd98a585a212c6ffaff467346e288d4810615c60da",
                                   "ace23fa52bff52c8588672fdcaa3b8ff1e318b20a065d32fb7f52478b249e5b3",
                                   "dda7b8a1adb445cbd2e69e6d2cde9ab1f4f1fbc4871da5a630405e415a35d474");
  EXPECT_EQ(opened(wide, "\uFF50\uFF57\uFF11"), address);
}

TEST(EncryptedKey, opens_what_was_encrypted_with_a_password_as_it_is) {
  // geth and others do not normalise passwords. encrypt_key() does not either, and this password is not in a normal
  // form.
  const auto key = *SecretKey::parse("0x" + std::string(62, '0') + "11");
  const auto written = encrypt_key(key, SecretText("Zu\u0308rich\u00B2"));
  EXPECT_EQ(*decrypt_key(written, SecretText("Zu\u0308rich\u00B2"), "key.json"), key);
}

TEST(EncryptedKey, encrypts_with_a_password_that_every_program_can_state) {
  const auto form = [](std::string_view password) {
    const auto normal = password_to_encrypt_with(SecretText(password), "--password-file");
    return normal ? std::string(normal->view()) : normal.error().message();
  };
  EXPECT_EQ(form("correct horse  "), "correct horse  ");
  EXPECT_EQ(form("Zu\u0308rich\u00B2"), "Z\u00FCrich2");
  EXPECT_THAT(form("gru\xdf"), HasSubstr("--password-file is 'not UTF-8'"));
  EXPECT_THAT(form(std::string_view("s\0e\0", 4)), HasSubstr("control characters"));
}

TEST(EncryptedKey, derives_with_each_sha_2) {
  // By PBKDF2 of Node.js 20; the last one opened by @ethersproject/json-wallets 5.8, which does not know the others.
  struct Case {
    const char *prf, *ciphertext, *mac;
  };
  for (const auto& [prf, ciphertext, mac] :
       {Case{"hmac-sha224", "188b3fb4ce352264658f04f1859cf5cbfc2c504b14345e7bb1d1a9710fc2d304",
             "0cd3da5f1b453f36a346a416c1700c50234b4f3661dd6fc283d9961e2df219ac"},
        Case{"hmac-sha384", "a85a4275daae4b3d4715582263b88468da37ff04185964a05d92086ce0c4304a",
             "d4d67ff3d8634ce2ce27d404111b269f8425bf5e59e70425db2c67e0808a0785"},
        Case{"hmac-sha512", "5f76a158d34da6f5e8f215d1a28b9612b3c89ed9cd2e387bd4c997ee4ccfebca",
             "76347e90bd493f02bcb1520261ca760c262c965b252708cde3361bd5e800eb71"}}) {
    json document = {
        {"version", 3},
        {"crypto",
         {{"cipher", "aes-128-ctr"},
          {"cipherparams", {{"iv", "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}},
          {"ciphertext", ciphertext},
          {"kdf", "pbkdf2"},
          {"kdfparams", {{"c", 16}, {"dklen", 32}, {"prf", prf}, {"salt", "abababababababababababababababab"}}},
          {"mac", mac}}}};
    const auto key = decrypt_key(document.dump(), SecretText("hunter2"), "key.json");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ(to_hex(key->expose()), std::string(62, '0') + "11");
    document["crypto"]["kdfparams"]["prf"] = "hmac-md5";
    EXPECT_THAT(decrypt_key(document.dump(), SecretText("hunter2"), "key.json").error().message(),
                HasSubstr("crypto.kdfparams.prf is 'hmac-md5'"));
  }
}

TEST(EncryptedKey, reads_the_spellings_that_ethers_reads) {
  // @ethersproject/json-wallets 5.8: names within crypto in any letter case, numbers as strings, no address.
  for (const auto& address : {json(nullptr), json(""), json("0x252DAE0A4B9D9B80F504F6418ACD2D364C0C59CD")}) {
    const json document = {
        {"version", 3},
        {"address", address},
        {"Crypto",
         {{"Cipher", "aes-128-ctr"},
          {"cipherParams", {{"IV", "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}},
          {"cipherText", "5f76a158d34da6f5e8f215d1a28b9612b3c89ed9cd2e387bd4c997ee4ccfebca"},
          {"KDF", "PBKDF2"},
          {"kdfParams",
           {{"C", "16"}, {"dkLen", "32"}, {"prf", "hmac-sha512"}, {"salt", "0xabababababababababababababababab"}}},
          {"MAC", "76347E90BD493F02BCB1520261CA760C262C965B252708CDE3361BD5E800EB71"}}}};
    const auto key = decrypt_key(document.dump(), SecretText("hunter2"), "key.json");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ(to_hex(key->expose()), std::string(62, '0') + "11");
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

TEST(EncryptedKey, doubts_what_ethers_does_not_open) {
  const auto doubts = [](const char* pointer, const json& value) {
    auto document = json::parse(test::key_vectors().files[1].json);
    if (document.contains("Crypto")) {
      document["crypto"] = document["Crypto"];
      document.erase("Crypto");
    }
    if (*pointer) document[json::json_pointer(pointer)] = value;
    return doubts_about_key_file(document.dump(), "key.json");
  };
  EXPECT_TRUE(doubts("", nullptr).empty());
  EXPECT_EQ(doubts("/crypto/kdfparams/dklen", 64).at(0),
            "key.json crypto.kdfparams.dklen is not 32, which Aztec's node refuses");
  EXPECT_EQ(doubts("/crypto/kdfparams/prf", "hmac-sha384").size(), 1U);
  EXPECT_EQ(doubts("/crypto/mac", "0x00").size(), 1U);
  EXPECT_EQ(doubts("/crypto/ciphertext", "0011").size(), 1U);
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
  expect_refused("/crypto/kdfparams/p", "", "crypto.kdfparams.p");
  expect_refused("/address", 5, "address");
  expect_refused("/address", "0000000000000000000000000000000000000001", "address");
}

TEST(EncryptedKey, refuses_what_asks_for_more_memory_or_time_than_any_key_should) {
  expect_refused("/crypto/kdfparams/n", 1ULL << 30, "crypto.kdfparams.n");
  expect_refused("/crypto/kdfparams/r", 1ULL << 40, "crypto.kdfparams.r");
  expect_refused("/crypto/kdfparams/p", 1ULL << 40, "crypto.kdfparams.p");
}

}  // namespace
}  // namespace hasigner::keys
