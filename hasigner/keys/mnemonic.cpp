#include "hasigner/keys/mnemonic.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/bip39_words.hpp"
#include "hasigner/keys/unicode.hpp"

namespace hasigner::keys {

namespace {

constexpr std::string_view kSalt = "mnemonic";
constexpr std::size_t kSeedBytes = 64;
constexpr int kSeedRounds = 2048;
constexpr std::uint32_t kHardened = 0x8000'0000;

std::unexpected<InvalidInput> refuse(std::string_view field, std::string value, std::string allowed) {
  return std::unexpected(InvalidInput{std::string(field), std::move(value), std::move(allowed)});
}

SecretBytes hmac_sha512(std::span<const std::uint8_t> key, std::span<const std::uint8_t> message) {
  SecretBytes digest(64);
  unsigned length = 0;
  HASIGNER_ASSERT(HMAC(EVP_sha512(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
                       digest.data(), &length) != nullptr);
  HASIGNER_ASSERT(length == digest.size());
  return digest;
}

/// A private key of the tree, and the chain code for its children.
struct ExtendedKey {
  SecretKey key;
  SecretBytes chain_code;
};

SecretBytes child_input(const ExtendedKey& parent, std::uint32_t index) {
  SecretBytes input;
  if (index >= kHardened) {
    const auto key = parent.key.expose();
    input.push_back(0);
    input.insert(input.end(), key.begin(), key.end());
  } else {
    // SEC 1's compressed form: whether y is odd, and x.
    const auto point = public_key_of(parent.key);
    input.push_back(2 + (point.bytes().back() & 1));
    input.insert(input.end(), point.bytes().begin(), point.bytes().begin() + 32);
  }
  for (const int shift : {24, 16, 8, 0}) input.push_back(static_cast<std::uint8_t>(index >> shift));
  return input;
}

std::optional<ExtendedKey> child_of(const ExtendedKey& parent, std::uint32_t index) {
  const auto digest = hmac_sha512(parent.chain_code, child_input(parent, index));
  auto key = add_to_key(parent.key, std::span<const std::uint8_t, 32>(digest.data(), 32));
  if (!key) return std::nullopt;
  return ExtendedKey{std::move(*key), SecretBytes(digest.begin() + 32, digest.end())};
}

std::optional<ExtendedKey> master_of(const SecretBytes& seed) {
  constexpr std::string_view kMaster = "Bitcoin seed";
  const auto digest =
      hmac_sha512(std::span(reinterpret_cast<const std::uint8_t*>(kMaster.data()), kMaster.size()), seed);
  auto key = SecretKey::from_bytes(std::span<const std::uint8_t, 32>(digest.data(), 32));
  if (!key) return std::nullopt;
  return ExtendedKey{std::move(*key), SecretBytes(digest.begin() + 32, digest.end())};
}

}  // namespace

std::string DerivationPath::to_string() const {
  return "m/44'/60'/" + std::to_string(account) + "'/0/" + std::to_string(address);
}

Parsed<SecretBytes> seed_of(const SecretText& mnemonic, std::string_view field) {
  const auto normal = normalised(SecretText(trimmed(mnemonic.view())), NormalForm::kNfkd);
  if (!normal) return refuse(field, "a text that is not UTF-8 (not shown)", "words with one space between them");
  const auto text = normal->view();
  const auto words = 1 + std::ranges::count(text, ' ');
  if (words < 12 || words > 24 || words % 3 != 0) {
    return refuse(field, std::to_string(words) + " words (not shown)",
                  "12, 15, 18, 21 or 24 words with one space between them");
  }
  SecretBytes seed(kSeedBytes);
  HASIGNER_ASSERT(PKCS5_PBKDF2_HMAC(text.data(), static_cast<int>(text.size()),
                                    reinterpret_cast<const unsigned char*>(kSalt.data()),
                                    static_cast<int>(kSalt.size()), kSeedRounds, EVP_sha512(),
                                    static_cast<int>(seed.size()), seed.data()) == 1);
  return seed;
}

std::optional<std::string> doubt_about(const SecretText& mnemonic) {
  constexpr std::size_t kBitsOfWord = 11;
  const auto normal = normalised(SecretText(trimmed(mnemonic.view())), NormalForm::kNfkd);
  if (!normal) return "it is not UTF-8";
  SecretBytes bits;  // one in each byte
  std::size_t words = 0;
  for (auto rest = normal->view(); !rest.empty();) {
    const auto end = std::min(rest.find(' '), rest.size());
    const auto number = bip39_number(rest.substr(0, end));
    ++words;
    if (!number) return "its word " + std::to_string(words) + " is not one of BIP-39's English words";
    for (std::size_t i = kBitsOfWord; i-- > 0;) bits.push_back(static_cast<std::uint8_t>(*number >> i & 1));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // Of 33 bits 32 are entropy, and one is of its checksum, which stands at the end.
  const std::size_t checksum_bits = bits.size() / 33;
  SecretBytes entropy((bits.size() - checksum_bits) / 8);
  for (std::size_t i = 0; i < 8 * entropy.size(); ++i) {
    entropy[i / 8] = static_cast<std::uint8_t>(entropy[i / 8] << 1 | bits[i]);
  }
  SecretBytes digest(32);
  unsigned length = 0;
  HASIGNER_ASSERT(EVP_Digest(entropy.data(), entropy.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  for (std::size_t i = 0; i < checksum_bits; ++i) {
    if ((digest[0] >> (7 - i) & 1) != bits[8 * entropy.size() + i]) {
      return "its words do not fit together (BIP-39's checksum is wrong)";
    }
  }
  return std::nullopt;
}

SecretText with_single_spaces(const SecretText& mnemonic) {
  SecretText words;
  for (auto rest = trimmed(mnemonic.view()); !rest.empty();) {
    const auto before = rest;
    const auto character = take_character(rest);
    if (!character) rest.remove_prefix(1);
    const bool is_space = character && is_white_space(*character);
    if (is_space && words.view().ends_with(' ')) continue;
    words.append(is_space ? " " : before.substr(0, before.size() - rest.size()));
  }
  return words;
}

Parsed<SecretKey> derive_key(const SecretBytes& seed, DerivationPath path, std::string_view field) {
  if (path.account > DerivationPath::kMax || path.address > DerivationPath::kMax) {
    return refuse(field, path.to_string(), "a path with indexes below 2147483648");
  }
  auto key = master_of(seed);
  for (const std::uint32_t index : {kHardened + 44, kHardened + 60, kHardened + path.account, 0U, path.address}) {
    if (key) key = child_of(*key, index);
  }
  if (!key) return refuse(field, path.to_string(), "another path: BIP-32 has no key for this one");
  return std::move(key->key);
}

}  // namespace hasigner::keys
