#include "hasigner/keys/mnemonic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vectors/vectors.hpp"

namespace hasigner::keys {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Mnemonic, gives_the_keys_that_viem_and_ethers_give) {
  for (const auto& vector : test::key_vectors().mnemonics) {
    const auto seed = seed_of(SecretText(vector.mnemonic), "mnemonic");
    ASSERT_TRUE(seed) << seed.error().message();
    const auto key = derive_key(*seed, {vector.account, vector.address}, "mnemonic");
    ASSERT_TRUE(key);
    EXPECT_EQ("0x" + to_hex(key->expose()), vector.private_key);
    EXPECT_EQ(address_of(*key).to_string(), vector.eth_address);
  }
}

// What every developer's tools begin with; the address is in the documentation of Hardhat and Foundry.
TEST(Mnemonic, gives_the_first_account_of_hardhat) {
  const auto seed = seed_of(SecretText("test test test test test test test test test test test junk"), "mnemonic");
  EXPECT_EQ(address_of(*derive_key(*seed, {}, "mnemonic")).to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
}

TEST(Mnemonic, refuses_other_numbers_of_words_and_other_texts_without_showing_them) {
  for (const char* text : {"", "zebra", "zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra",
                           "zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra",
                           "zebra  zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra",
                           "zebra\tzebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra",
                           "zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra zebra \xff"}) {
    const auto seed = seed_of(SecretText(text), "validators[0].attester.mnemonic");
    ASSERT_FALSE(seed) << text;
    EXPECT_EQ(seed.error().field, "validators[0].attester.mnemonic");
    EXPECT_THAT(seed.error().message(), Not(HasSubstr("zebra")));
  }
}

TEST(Mnemonic, gives_the_keys_that_viem_gives) {
  // viem 2.38's mnemonicToAccount(text.trim()), as Aztec's node calls it.
  const std::string tests = "test test test test test test test test test test test ";
  const std::string ja = "\u3042\u3044\u3053\u304F\u3057\u3093\u3000";
  for (const auto& [text, address] : std::vector<std::pair<std::string, const char*>>{
           {tests + "junk\n", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"},
           {"\ufeff\t " + tests + "junk \r\n", "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"},
           {tests + "Junk", "0x86ca0acb0ab7c6ab0a0956aa0f189fd92cd8d385"},
           {"test  test test test test test test test test test junk", "0xa0c064aae9c178807b4d499611a481b64e072817"},
           {ja + ja + ja + ja + ja + ja + ja + ja + ja + ja + ja + "\u3042\u304A\u305E\u3089",
            "0xbdaee434065804ad1816118796c7009446eae70d"}}) {
    const auto seed = seed_of(SecretText(text), "mnemonic");
    ASSERT_TRUE(seed) << text << seed.error().message();
    EXPECT_EQ(address_of(*derive_key(*seed, {}, "mnemonic")).to_string(), address) << text;
  }
}

TEST(Mnemonic, puts_the_words_of_a_file_on_one_line) {
  const auto joined = with_single_spaces(SecretText(" legal\r\nwinner\t thank\u3000year\n"));
  EXPECT_EQ(joined.view(), "legal winner thank year");
}

TEST(Mnemonic, raises_no_doubt_where_bip39_has_none) {
  for (const auto& vector : test::key_vectors().mnemonics) {
    EXPECT_EQ(doubt_about(SecretText(vector.mnemonic)), std::nullopt);
  }
  // Vectors of BIP-39 with 12, 18 and 24 words.
  for (const char* words :
       {"legal winner thank year wave sausage worth useful legal winner thank yellow",
        "gravity machine north sort system female filter attitude volume fold club stay feature office ecology stable "
        "narrow fog",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group "
        "space point ten exist slush involve unfold"}) {
    EXPECT_EQ(doubt_about(SecretText(words)), std::nullopt) << words;
  }
  // Normalised before keys are made: the ideographic space and the one that does not break are spaces.
  EXPECT_EQ(doubt_about(SecretText("legal\u3000winner\u00a0thank year wave sausage worth useful legal winner thank "
                                   "yellow\n")),
            std::nullopt);
}

TEST(Mnemonic, raises_a_doubt_about_a_mistyped_one_and_shows_nothing_of_it) {
  // The last word, and two words exchanged: ethers says "invalid mnemonic checksum" to both.
  for (const char* words : {"legal winner thank year wave sausage worth useful legal winner thank zebra",
                            "winner legal thank year wave sausage worth useful legal winner thank yellow"}) {
    EXPECT_THAT(doubt_about(SecretText(words)).value_or(""), HasSubstr("checksum is wrong"));
  }
  const auto doubt =
      doubt_about(SecretText("legal winner thank year wave sausage worth usefull legal winner thank yellow"));
  EXPECT_EQ(doubt, "its word 8 is not one of BIP-39's English words");
}

}  // namespace
}  // namespace hasigner::keys
