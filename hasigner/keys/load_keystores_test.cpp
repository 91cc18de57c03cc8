#include "hasigner/keys/load_keystores.hpp"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "hasigner/keys/secret_file.hpp"
#include "tests/vectors/vectors.hpp"

namespace hasigner::keys {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kFee = "0x" + std::string(63, '0') + "5";
// Keys 1, 2 and 3; their addresses are those that every wallet shows for them.
const std::string kKeys[] = {"0x" + std::string(63, '0') + "1", "0x" + std::string(63, '0') + "2",
                             "0x" + std::string(63, '0') + "3"};
const std::string kAddresses[] = {"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
                                  "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf",
                                  "0x6813eb9362372eef6200f3b1dbc3f819671cba69"};

class LoadKeystores : public testing::Test {
 protected:
  LoadKeystores() {
    std::string pattern = fs::temp_directory_path() / "hasigner-keys-XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
  }
  ~LoadKeystores() override { fs::remove_all(directory_); }

  fs::path write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const auto path = directory_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  static json keystore(const json& attester) {
    return {{"schemaVersion", 1}, {"validators", {{{"attester", attester}, {"feeRecipient", kFee}}}}};
  }
  std::vector<std::string> attesters(const std::vector<fs::path>& paths) {
    std::vector<std::string> addresses;
    const auto validators = load_keystores(paths);
    if (!validators) return {validators.error().message()};
    for (const auto& validator : validators->validators) {
      for (const auto& attester : validator.attesters) addresses.push_back(attester.address.to_string());
    }
    return addresses;
  }
  std::string why_refused(const std::vector<fs::path>& paths) {
    const auto validators = load_keystores(paths);
    return validators ? "accepted" : validators.error().message();
  }

  fs::path directory_;
};

TEST_F(LoadKeystores, opens_private_keys_and_fills_in_the_roles) {
  const auto file = write("a.json", keystore({kKeys[0], kKeys[1]}).dump());
  const auto loaded = load_keystores({file});
  ASSERT_TRUE(loaded) << loaded.error().message();
  const auto& validator = loaded->validators.at(0);
  EXPECT_EQ(validator.attesters[1].address.to_string(), kAddresses[1]);
  EXPECT_THAT(validator.attesters[1].origin, HasSubstr("a.json validators[0].attester[1]: private key"));
  EXPECT_EQ(validator.coinbase, std::nullopt);
  EXPECT_EQ(validator.publishers.size(), 2U);
  EXPECT_EQ(validator.fee_recipient.to_string(), kFee);
}

TEST_F(LoadKeystores, merges_the_files_of_a_directory_in_the_order_of_their_names) {
  write("keys/b.json", keystore(kKeys[1]).dump());
  write("keys/a.json", keystore(kKeys[0]).dump());
  write("keys/readme.txt", "not a key file", 0644);
  EXPECT_EQ(attesters({directory_ / "keys"}), (std::vector{kAddresses[0], kAddresses[1]}));
}

TEST_F(LoadKeystores, refuses_a_directory_in_which_other_users_may_write) {
  write("keys/a.json", keystore(kKeys[0]).dump());
  for (const mode_t mode : {0770U, 0707U, 01777U}) {
    ASSERT_EQ(chmod((directory_ / "keys").c_str(), mode), 0);
    const auto refusal = why_refused({directory_ / "keys"});
    EXPECT_THAT(refusal, HasSubstr("open to the writes of other users"));
    EXPECT_THAT(refusal, HasSubstr("chmod go-w '" + (directory_ / "keys").string() + "'"));
  }
  ASSERT_EQ(chmod((directory_ / "keys").c_str(), 0755), 0);
  EXPECT_EQ(attesters({directory_ / "keys"}), std::vector{kAddresses[0]});
}

TEST_F(LoadKeystores, takes_the_extension_in_either_letter_case) {
  write("keys/a.json", keystore(kKeys[0]).dump());
  write("keys/B.JSON", keystore(kKeys[1]).dump());
  write("keys/c.Json", keystore(kKeys[2]).dump());
  write("keys/.json", "a name without extension");
  EXPECT_EQ(attesters({directory_ / "keys"}).size(), 3U);
  const auto vectors = test::key_vectors().files;
  write("dir/1.JSON", vectors[1].json);
  const json directory = {{"path", directory_ / "dir"}, {"password", vectors[1].password}};
  EXPECT_EQ(attesters({write("k.json", keystore(directory).dump())}).front().size(), 42U);
}

TEST_F(LoadKeystores, what_the_top_levels_say_is_merged_as_aztecs_node_does) {
  // mergeKeystores() of @aztec/node-keystore 4.1.2: publishers add up, of the rest the last file counts.
  auto first = keystore(kKeys[0]);
  first["schemaVersion"] = 2;
  first["validators"][0].erase("feeRecipient");
  first["feeRecipient"] = kFee;
  first["coinbase"] = kAddresses[0];
  first["publisher"] = kKeys[0];
  auto second = first;
  second["validators"][0]["attester"] = kKeys[1];
  second["feeRecipient"] = "0x" + std::string(63, '0') + "6";
  second["coinbase"] = kAddresses[1];
  second["publisher"] = {kKeys[1], kKeys[2]};
  const auto one = write("1.json", first.dump());
  auto loaded = load_keystores({one});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->validators[0].fee_recipient.to_string(), kFee);
  loaded = load_keystores({one, write("2.json", second.dump())});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->validators[0].fee_recipient.to_string(), second["feeRecipient"]);
  EXPECT_EQ(loaded->validators[0].coinbase, EthAddress::try_parse(kAddresses[1]));
  EXPECT_EQ(loaded->validators[0].publishers.size(), 3U);
  second["publisher"] = {{"mnemonic", "test test test test test test test test test test test junk"}};
  loaded = load_keystores({one, write("2.json", second.dump())});
  EXPECT_EQ(loaded->validators[0].publishers.size(), 1U);
  loaded = load_keystores({one, write("3.json", keystore(kKeys[2]).dump())});
  ASSERT_TRUE(loaded) << loaded.error().message();
  ASSERT_EQ(loaded->doubts.size(), 1U);
  EXPECT_THAT(loaded->doubts[0], HasSubstr("which Aztec's node refuses together"));
}

TEST_F(LoadKeystores, a_validator_without_attesters_signs_nothing) {
  auto document = keystore(json::array());
  document["validators"].push_back(keystore(kKeys[0])["validators"][0]);
  const auto loaded = load_keystores({write("a.json", document.dump())});
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->validators.size(), 1U);
  EXPECT_EQ(loaded->doubts.size(), 1U);
}

TEST_F(LoadKeystores, names_utf_16_and_doubts_a_byte_order_mark) {
  const auto text = keystore(kKeys[0]).dump();
  const auto loaded = load_keystores({write("bom.json", "\xef\xbb\xbf" + text)});
  ASSERT_TRUE(loaded) << loaded.error().message();
  ASSERT_EQ(loaded->doubts.size(), 1U);
  EXPECT_THAT(loaded->doubts[0], HasSubstr("bom.json begins with a byte order mark, which Aztec's node refuses"));
  std::string wide = "\xff\xfe";
  for (const char c : text) wide += {c, '\0'};
  EXPECT_THAT(why_refused({write("wide.json", wide)}), HasSubstr("UTF-16"));
}

TEST_F(LoadKeystores, refuses_an_attester_that_occurs_twice) {
  const auto a = write("a.json", keystore({kKeys[0]}).dump());
  const auto b = write("b.json", keystore({kKeys[1], kKeys[0]}).dump());
  const auto why = why_refused({a, b});
  EXPECT_THAT(why, HasSubstr("b.json validators[0].attester[1]"));
  EXPECT_THAT(why, HasSubstr("a.json validators[0].attester"));
  EXPECT_THAT(why_refused({write("c.json", keystore({kKeys[0], kKeys[0]}).dump())}), HasSubstr("attester[1]"));
}

TEST_F(LoadKeystores, refuses_two_provers) {
  auto document = keystore(kKeys[0]);
  document["prover"] = kKeys[2];
  const auto a = write("a.json", document.dump());
  EXPECT_EQ(attesters({a}).size(), 1U);
  const auto b = write("b.json", json{{"schemaVersion", 1}, {"prover", kKeys[2]}}.dump());
  EXPECT_THAT(why_refused({a, b}), HasSubstr("b.json prover"));
}

TEST_F(LoadKeystores, finds_the_remote_signer_of_the_account_then_of_the_validator_then_of_the_last_file) {
  const json own = {{"address", kAddresses[0]}, {"remoteSignerUrl", "http://account"}};
  auto document = keystore({own, kAddresses[1]});
  document["remoteSigner"] = "http://file";
  document["validators"][0]["remoteSigner"] = "http://validator";
  document["validators"].push_back({{"attester", kAddresses[2]}, {"feeRecipient", kFee}});
  const auto a = write("a.json", document.dump());
  const auto b =
      write("b.json", json{{"schemaVersion", 1}, {"prover", kKeys[0]}, {"remoteSigner", "http://last"}}.dump());
  const auto url = [](const AttesterKey& key) { return std::get<RemoteSigner>(key.signer).url; };
  auto validators = load_keystores({a});
  ASSERT_TRUE(validators) << validators.error().message();
  EXPECT_EQ(url(validators->validators[0].attesters[0]), "http://account");
  EXPECT_EQ(url(validators->validators[0].attesters[1]), "http://validator");
  EXPECT_EQ(url(validators->validators[1].attesters[0]), "http://file");
  validators = load_keystores({a, b});
  ASSERT_TRUE(validators) << validators.error().message();
  EXPECT_EQ(url(validators->validators[1].attesters[0]), "http://last");
  EXPECT_THAT(why_refused({write("c.json", keystore(kAddresses[0]).dump())}), HasSubstr("remoteSigner"));
}

TEST_F(LoadKeystores, opens_encrypted_files_and_directories) {
  const auto vectors = test::key_vectors().files;
  const auto& one = vectors[1];
  const auto file = write("one.json", one.json);
  EXPECT_EQ(
      attesters({write("k/a.json", keystore({{"path", file}, {"password", one.password}}).dump())}).front().size(),
      42U);
  EXPECT_THAT(why_refused({write("k/b.json", keystore({{"path", file}, {"password", "wrong"}}).dump())}),
              HasSubstr("b.json validators[0].attester: the key file"));
  // Those that have the same password.
  write("dir/1.json", one.json);
  write("dir/2.json", vectors[4].json);
  const json directory = {{"path", directory_ / "dir"}, {"password", one.password}};
  EXPECT_EQ(attesters({write("k/c.json", keystore(directory).dump())}).size(), 2U);
  EXPECT_THAT(why_refused({write("k/d.json", keystore({{"path", directory_ / "dir"}}).dump())}),
              HasSubstr("attester.password"));
  write("dir/3.json", one.json);
  EXPECT_THAT(why_refused({write("k/e.json", keystore(directory).dump())}), HasSubstr("twice"));
  fs::create_directory(directory_ / "empty");
  EXPECT_THAT(why_refused({write("k/f.json", keystore({{"path", directory_ / "empty"}, {"password", "x"}}).dump())}),
              HasSubstr("without .json files"));
}

TEST_F(LoadKeystores, derives_accounts_outside_and_addresses_inside) {
  const json mnemonic = {{"mnemonic", "test test test test test test test test test test test junk"},
                         {"addressIndex", 1},
                         {"addressCount", 2},
                         {"accountCount", 2}};
  const auto validators = load_keystores({write("a.json", keystore(mnemonic).dump())});
  ASSERT_TRUE(validators) << validators.error().message();
  std::vector<std::string> paths;
  for (const auto& key : validators->validators[0].attesters) paths.push_back(key.origin.substr(key.origin.find("m/")));
  EXPECT_EQ(paths,
            (std::vector<std::string>{"m/44'/60'/0'/0/1", "m/44'/60'/0'/0/2", "m/44'/60'/1'/0/1", "m/44'/60'/1'/0/2"}));
  // The second account of Hardhat and Foundry.
  EXPECT_EQ(validators->validators[0].attesters[0].address.to_string(), "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
}

TEST_F(LoadKeystores, refuses_files_that_others_may_read_and_says_how_to_mend_it) {
  for (const mode_t mode : {0644, 0640, 0620, 0604, 0666}) {
    const auto file = write("open.json", keystore(kKeys[0]).dump(), mode);
    EXPECT_THAT(why_refused({file}), HasSubstr("chmod 600 '" + file.string() + "'")) << mode;
  }
  EXPECT_EQ(attesters({write("open.json", keystore(kKeys[0]).dump(), 0400)}).size(), 1U);
}

TEST_F(LoadKeystores, lets_others_read_a_file_without_secrets_but_not_write_it) {
  json remote = keystore(kAddresses[0]);
  remote["remoteSigner"] = "https://signer:9000/rpc";
  EXPECT_EQ(attesters({write("remote.json", remote.dump(), 0644)}).size(), 1U);
  for (const mode_t mode : {0664, 0602, 0620}) {
    EXPECT_THAT(why_refused({write("remote.json", remote.dump(), mode)}), HasSubstr("chmod 600")) << mode;
  }
}

TEST_F(LoadKeystores, refuses_every_kind_of_secret_in_a_file_that_others_may_read) {
  const auto with = [](auto... path_and_value) {
    json document = keystore(kAddresses[0]);
    document["remoteSigner"] = "https://signer";
    (document.merge_patch(path_and_value), ...);
    return document;
  };
  const json certificate = {{"remoteSignerUrl", "https://signer"}, {"certPath", "c.p12"}, {"certPass", "x"}};
  const json bls = {{{"attester", {{"eth", kAddresses[0]}, {"bls", kKeys[0]}}}, {"feeRecipient", kFee}}};
  for (const auto& document :
       {keystore(kKeys[0]), keystore({{"mnemonic", "test test test test test test test test test test test junk"}}),
        keystore({{"path", "key.json"}, {"password", "x"}}), with(json{{"remoteSigner", certificate}}),
        with(json{{"remoteSigner", "https://user:pass@signer"}}),
        with(json{{"remoteSigner", "https://signer/?token=x"}}), with(json{{"slasher", kKeys[1]}}),
        with(json{{"prover", kKeys[1]}}), with(json{{"validators", bls}})}) {
    EXPECT_THAT(why_refused({write("open.json", document.dump(), 0644)}), HasSubstr("chmod 600")) << document;
  }
}

TEST_F(LoadKeystores, refuses_a_key_file_that_others_may_read) {
  const auto one = test::key_vectors().files[1];
  const auto file = write("key.json", one.json, 0640);
  const auto why = why_refused({write("k/a.json", keystore({{"path", file}, {"password", one.password}}).dump())});
  EXPECT_THAT(why, HasSubstr("chmod 600 '" + file.string() + "'"));
  EXPECT_THAT(why, HasSubstr("mode 0640"));
}

/// Reads the file as nobody, whose group is the file's. Ends the process: 0, read; 1, refused.
[[noreturn]] void read_as_nobody(const fs::path& file) {
  constexpr unsigned kNobody = 65'534;
  const bool is_nobody = setgroups(0, nullptr) == 0 && setgid(kNobody) == 0 && setuid(kNobody) == 0;
  _exit(is_nobody && read_secret_file(file) ? 0 : 1);
}

TEST_F(LoadKeystores, reads_what_root_provides_to_the_group_of_a_service) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto file = write("credential", "secret", 0440);
  ASSERT_EQ(chown(file.c_str(), 0, 65'534), 0);
  chmod(directory_.c_str(), 0711);
  EXPECT_EXIT(read_as_nobody(file), testing::ExitedWithCode(0), "");
  for (const mode_t mode : {0444, 0460}) {
    chmod(file.c_str(), mode);
    EXPECT_EXIT(read_as_nobody(file), testing::ExitedWithCode(1), "") << mode;
  }
}

TEST_F(LoadKeystores, refuses_what_is_not_a_file) {
  EXPECT_THAT(why_refused({directory_ / "missing.json"}), HasSubstr("No such file"));
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(why_refused({directory_ / "pipe"}), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace hasigner::keys
