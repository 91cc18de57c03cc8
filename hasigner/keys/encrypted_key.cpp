#include "hasigner/keys/encrypted_key.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/keccak.hpp"
#include "hasigner/crypto/scrypt.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/unicode.hpp"

namespace hasigner::keys {

namespace {

using Kind = JsonValue::Kind;
using Bytes = std::vector<std::uint8_t>;

/// The first 16 derived bytes decrypt, the next 16 prove the password. A file may ask for more bytes; they are not
/// used, and do not change the first 32.
constexpr std::size_t kDerivedBytes = 32;
constexpr std::uint64_t kMaxDerivedBytes = 1024;
constexpr std::uint64_t kMaxScryptMemory = std::uint64_t{1} << 30;
constexpr std::uint64_t kMaxScryptParallel = 64;
constexpr std::uint64_t kMaxPbkdf2Rounds = 50'000'000;
constexpr std::uint64_t kScryptN = 262'144;
constexpr std::size_t kMaxSaltBytes = 1024;

struct DeleteCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

/// Reads one document; keeps where it is for the errors.
class V3Reader {
 public:
  /// The member of `crypto` and below. Early writers wrote `Crypto`, and ethers reads these names in any letter case.
  static const JsonValue* find(const JsonValue* object, std::string_view name) {
    if (!object) return nullptr;
    if (const JsonValue* const exact = object->find(name)) return exact;
    const auto is_name = [name](const JsonValue::Member& member) {
      return std::ranges::equal(member.name, name, [](char a, char b) { return to_lower(a) == b; });
    };
    const auto found = std::ranges::find_if(object->members(), is_name);
    return found == object->members().end() ? nullptr : &found->value;
  }

  static char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

  explicit V3Reader(std::string_view field) : field_(field) {}

  std::unexpected<InvalidInput> refuse(std::string_view member, std::string value, std::string allowed) const {
    const auto json_path = member.empty() ? field_ : field_ + " " + std::string(member);
    return std::unexpected(InvalidInput{json_path, std::move(value), std::move(allowed)});
  }

  Parsed<std::string_view> text(const JsonValue* object, std::string_view name, std::string_view json_path) const {
    const JsonValue* const value = find(object, name);
    if (!value || !value->is(Kind::kString)) return refuse(json_path, value ? kind(*value) : "missing", "a string");
    return value->text();
  }

  /// A number; or its digits as a string, which ethers reads too.
  Parsed<std::uint64_t> number(const JsonValue* object, std::string_view name, std::string_view json_path) const {
    const JsonValue* const value = find(object, name);
    const bool has_digits = value && (value->is(Kind::kNumber) || (value->is(Kind::kString) && !value->text().empty()));
    if (!has_digits) return refuse(json_path, value ? kind(*value) : "missing", "a number");
    const auto digits = value->text();
    const bool is_whole =
        digits.size() <= 15 && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    if (!is_whole) return refuse(json_path, printable(digits), "a whole number");
    std::uint64_t number = 0;
    for (const char c : digits) number = number * 10 + static_cast<std::uint64_t>(c - '0');
    return number;
  }

  /// Hex with or without 0x.
  Parsed<Bytes> bytes(const JsonValue* object, std::string_view name, std::string_view json_path) const {
    const auto hex = text(object, name, json_path);
    if (!hex) return std::unexpected(hex.error());
    const auto digits = hex->starts_with("0x") ? hex->substr(2) : *hex;
    Bytes bytes(digits.size() / 2);
    if (digits.size() > 2 * kMaxSaltBytes || !from_hex(digits, bytes)) {
      return refuse(json_path, "a text of " + std::to_string(hex->size()) + " characters (not shown)",
                    "hexadecimal digits");
    }
    return bytes;
  }

 private:
  static std::string kind(const JsonValue& value) { return std::string(to_string(value.kind())); }
  std::string field_;
};

struct Prf {
  std::string_view name;
  const EVP_MD* (*digest)();
};
/// The definition has the second one only; ethers reads the last one too, and other wallets write all.
constexpr std::array<Prf, 4> kPrfs{{{"hmac-sha224", EVP_sha224},
                                    {"hmac-sha256", EVP_sha256},
                                    {"hmac-sha384", EVP_sha384},
                                    {"hmac-sha512", EVP_sha512}}};

/// Returns nullopt when there is not enough memory.
std::optional<SecretBytes> derive_by_scrypt(const SecretText& password, std::span<const std::uint8_t> salt,
                                            ScryptCost cost) {
  // OpenSSL refuses values that RFC 7914 excludes.
  const bool is_of_rfc = 16 * cost.r >= 64 || cost.n < std::uint64_t{1} << (16 * cost.r);
  if (!is_of_rfc) return scrypt_of_any_cost(password, salt, cost, kDerivedBytes);
  SecretBytes derived(kDerivedBytes);
  // OpenSSL counts slightly more than the 128·n·r of the definition.
  const std::uint64_t memory = 128 * cost.r * (cost.n + cost.p + 2) + (1 << 20);
  if (EVP_PBE_scrypt(password.view().data(), password.size(), salt.data(), salt.size(), cost.n, cost.r, cost.p, memory,
                     derived.data(), derived.size()) != 1) {
    return std::nullopt;
  }
  return derived;
}

Parsed<SecretBytes> derive(const V3Reader& reader, const JsonValue& crypto, const SecretText& password) {
  const JsonValue* const params = V3Reader::find(&crypto, "kdfparams");
  const auto named_kdf = reader.text(&crypto, "kdf", "crypto.kdf");
  if (!named_kdf) return std::unexpected(named_kdf.error());
  std::string kdf(*named_kdf);
  std::ranges::transform(kdf, kdf.begin(), V3Reader::to_lower);
  const auto salt = reader.bytes(params, "salt", "crypto.kdfparams.salt");
  if (!salt) return std::unexpected(salt.error());
  if (salt->empty()) return reader.refuse("crypto.kdfparams.salt", "empty", "at least one byte");
  const auto length = reader.number(params, "dklen", "crypto.kdfparams.dklen");
  if (!length) return std::unexpected(length.error());
  if (*length < kDerivedBytes || *length > kMaxDerivedBytes) {
    return reader.refuse("crypto.kdfparams.dklen", std::to_string(*length), "from 32 to 1024");
  }
  if (kdf == "scrypt") {
    const auto n = reader.number(params, "n", "crypto.kdfparams.n");
    if (!n) return std::unexpected(n.error());
    const auto r = reader.number(params, "r", "crypto.kdfparams.r");
    if (!r) return std::unexpected(r.error());
    const auto p = reader.number(params, "p", "crypto.kdfparams.p");
    if (!p) return std::unexpected(p.error());
    if (*n < 2 || (*n & (*n - 1)) != 0) return reader.refuse("crypto.kdfparams.n", std::to_string(*n), "a power of 2");
    if (*r == 0 || *r > 1024) return reader.refuse("crypto.kdfparams.r", std::to_string(*r), "from 1 to 1024");
    if (*n > kMaxScryptMemory / (128 * *r)) {
      return reader.refuse("crypto.kdfparams.n", std::to_string(*n),
                           "small enough that 128·n·r (r is " + std::to_string(*r) + ") is at most 1 GiB");
    }
    if (*p == 0 || *p > kMaxScryptParallel)
      return reader.refuse("crypto.kdfparams.p", std::to_string(*p), "from 1 to 64");
    auto derived = derive_by_scrypt(password, *salt, {*n, *r, *p});
    if (!derived) return reader.refuse("crypto.kdfparams", "more than the free memory allows", "within it");
    return std::move(*derived);
  }
  if (kdf != "pbkdf2") return reader.refuse("crypto.kdf", printable(*named_kdf), "scrypt or pbkdf2");
  const auto prf = reader.text(params, "prf", "crypto.kdfparams.prf");
  if (!prf) return std::unexpected(prf.error());
  const auto known_prf = std::ranges::find(kPrfs, *prf, &Prf::name);
  if (known_prf == kPrfs.end()) {
    return reader.refuse("crypto.kdfparams.prf", printable(*prf),
                         "hmac-sha224, hmac-sha256, hmac-sha384 or hmac-sha512");
  }
  const auto rounds = reader.number(params, "c", "crypto.kdfparams.c");
  if (!rounds) return std::unexpected(rounds.error());
  if (*rounds == 0 || *rounds > kMaxPbkdf2Rounds) {
    return reader.refuse("crypto.kdfparams.c", std::to_string(*rounds),
                         "from 1 to " + std::to_string(kMaxPbkdf2Rounds));
  }
  SecretBytes derived(kDerivedBytes);
  HASIGNER_ASSERT(PKCS5_PBKDF2_HMAC(password.view().data(), static_cast<int>(password.size()), salt->data(),
                                    static_cast<int>(salt->size()), static_cast<int>(*rounds), known_prf->digest(),
                                    static_cast<int>(derived.size()), derived.data()) == 1);
  return derived;
}

/// aes-128-ctr is its own inverse.
SecretBytes apply_cipher(const SecretBytes& derived, std::span<const std::uint8_t> iv,
                         std::span<const std::uint8_t> input) {
  SecretBytes output(input.size());
  int length = 0;
  const std::unique_ptr<EVP_CIPHER_CTX, DeleteCipher> context(EVP_CIPHER_CTX_new());
  HASIGNER_ASSERT(context != nullptr);
  HASIGNER_ASSERT(EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, derived.data(), iv.data()) == 1);
  HASIGNER_ASSERT(
      EVP_EncryptUpdate(context.get(), output.data(), &length, input.data(), static_cast<int>(input.size())) == 1);
  return output;
}

std::array<std::uint8_t, 32> mac_of(const SecretBytes& derived, std::span<const std::uint8_t> ciphertext) {
  SecretBytes input(derived.begin() + 16, derived.end());
  input.insert(input.end(), ciphertext.begin(), ciphertext.end());
  return keccak256(std::span<const std::uint8_t>(input));
}

/// The version, or the value that the file has instead.
std::string shown_version(const JsonValue& document) {
  const JsonValue* const version = document.find("version");
  if (!version) return "missing";
  return version->is(Kind::kNumber) ? printable(version->text(), 20) : std::string(to_string(version->kind()));
}

bool is_version_3(const JsonValue& document) {
  const JsonValue* const version = document.find("version");
  return version && version->is(Kind::kNumber) && (version->text() == "3" || version->text() == "3.0");
}

/// In the order in which they are tried.
std::vector<SecretText> forms_of(const SecretText& password) {
  std::vector<SecretText> forms{password};
  auto normal = normalised(password, NormalForm::kNfkc);
  if (normal && normal->view() != password.view()) forms.push_back(std::move(*normal));
  return forms;
}

Parsed<SecretKey> open_document(const V3Reader& reader, const JsonValue& document, const SecretText& password) {
  if (!document.is(Kind::kObject)) return reader.refuse("", std::string(to_string(document.kind())), "an object");
  if (!is_version_3(document)) return reader.refuse("version", shown_version(document), "3");
  const JsonValue* const crypto = V3Reader::find(&document, "crypto");
  if (!crypto || !crypto->is(Kind::kObject)) {
    return reader.refuse("crypto", crypto ? std::string(to_string(crypto->kind())) : "missing", "an object");
  }
  const auto cipher = reader.text(crypto, "cipher", "crypto.cipher");
  if (!cipher) return std::unexpected(cipher.error());
  if (*cipher != "aes-128-ctr") return reader.refuse("crypto.cipher", printable(*cipher), "aes-128-ctr");
  const auto ciphertext = reader.bytes(crypto, "ciphertext", "crypto.ciphertext");
  if (!ciphertext) return std::unexpected(ciphertext.error());
  const auto iv = reader.bytes(V3Reader::find(crypto, "cipherparams"), "iv", "crypto.cipherparams.iv");
  if (!iv) return std::unexpected(iv.error());
  const auto mac = reader.bytes(crypto, "mac", "crypto.mac");
  if (!mac) return std::unexpected(mac.error());
  if (iv->size() != 16)
    return reader.refuse("crypto.cipherparams.iv", std::to_string(iv->size()) + " bytes", "16 bytes");
  if (mac->size() != 32) return reader.refuse("crypto.mac", std::to_string(mac->size()) + " bytes", "32 bytes");
  if (ciphertext->empty() || ciphertext->size() > SecretKey::kSize) {
    return reader.refuse("crypto.ciphertext", std::to_string(ciphertext->size()) + " bytes", "1 to 32 bytes");
  }
  for (const auto& form : forms_of(password)) {
    const auto derived = derive(reader, *crypto, form);
    if (!derived) return std::unexpected(derived.error());
    if (CRYPTO_memcmp(mac_of(*derived, *ciphertext).data(), mac->data(), mac->size()) != 0) continue;
    // Early writers left out the zeros at the beginning of a key.
    auto plain = apply_cipher(*derived, *iv, *ciphertext);
    plain.insert(plain.begin(), SecretKey::kSize - plain.size(), 0);
    return SecretKey::from_bytes(std::span<const std::uint8_t, SecretKey::kSize>(plain), "the key in the file");
  }
  const bool has_space = trimmed(password.view()).size() != password.size();
  return reader.refuse("",
                       std::string("encrypted with another password, or damaged") +
                           (has_space ? " (the password has white space at its edges)" : ""),
                       "a key that the password opens");
}

Bytes random_bytes(std::size_t count) {
  Bytes bytes(count);
  if (RAND_bytes(bytes.data(), static_cast<int>(count)) != 1)
    throw std::runtime_error("no random numbers from OpenSSL");
  return bytes;
}

/// A random UUID, version 4.
std::string random_uuid() {
  auto bytes = random_bytes(16);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  auto text = to_hex(bytes);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

}  // namespace

Parsed<SecretKey> decrypt_key(std::string_view json, const SecretText& password, std::string_view field) {
  const auto document = JsonValue::parse(json, field);
  if (!document) return std::unexpected(document.error());
  const V3Reader reader(field);
  auto key = open_document(reader, *document, password);
  if (!key) return key;
  const JsonValue* const named = document->find("address");
  // Writers that leave the address out for privacy write null or nothing.
  if (named && !named->is(Kind::kNull) && !(named->is(Kind::kString) && named->text().empty())) {
    const auto digits = named->text().starts_with("0x") ? named->text().substr(2) : named->text();
    if (EthAddress::try_parse("0x" + std::string(digits)) != address_of(*key)) {
      return reader.refuse("address", printable(named->text()),
                           address_of(*key).to_string() + ", the address of its key");
    }
  }
  return key;
}

std::vector<std::string> doubts_about_key_file(std::string_view json, std::string_view field) {
  std::vector<std::string> doubts;
  const auto document = JsonValue::parse(json, field);
  const JsonValue* const crypto = document ? V3Reader::find(&*document, "crypto") : nullptr;
  if (!crypto) return doubts;
  const JsonValue* const params = V3Reader::find(crypto, "kdfparams");
  const auto text = [](const JsonValue* object, std::string_view name) {
    const JsonValue* const value = V3Reader::find(object, name);
    return value ? value->text() : std::string_view();
  };
  const auto doubt = [&](const std::string& what) {
    doubts.push_back(std::string(field) + " " + what + ", which Aztec's node refuses");
  };
  if (text(params, "dklen") != "32") doubt("crypto.kdfparams.dklen is not 32");
  const auto prf = text(params, "prf");
  if (prf == "hmac-sha224" || prf == "hmac-sha384") doubt("crypto.kdfparams.prf is " + std::string(prf));
  if (text(crypto, "mac").starts_with("0x")) doubt("crypto.mac begins with 0x");
  const auto ciphertext = text(crypto, "ciphertext");
  if (ciphertext.size() - (ciphertext.starts_with("0x") ? 2 : 0) != 2 * SecretKey::kSize) {
    doubt("crypto.ciphertext has not 32 bytes");
  }
  return doubts;
}

Parsed<SecretText> password_to_encrypt_with(const SecretText& password, std::string_view field) {
  const auto refuse = [&](std::string why) {
    return std::unexpected(
        InvalidInput{std::string(field), std::move(why),
                     "text in UTF-8 without control characters, since a keystore file states it as such"});
  };
  auto normal = normalised(password, NormalForm::kNfkc);
  if (!normal) return refuse("not UTF-8");
  auto rest = normal->view();
  while (const auto character = take_character(rest)) {
    if (is_control(*character) && *character != '\t') return refuse("text with control characters");
  }
  return std::move(*normal);
}

std::string encrypt_key(const SecretKey& key, const SecretText& password) {
  const auto salt = random_bytes(32);
  const auto iv = random_bytes(16);
  const auto derived = derive_by_scrypt(password, salt, {kScryptN, 8, 1});
  if (!derived) throw std::bad_alloc();
  const auto encrypted = apply_cipher(*derived, iv, key.expose());
  const std::span<const std::uint8_t> ciphertext(encrypted);
  const nlohmann::ordered_json document = {
      {"version", 3},
      {"id", random_uuid()},
      {"address", to_hex(address_of(key).bytes())},
      {"crypto",
       {{"cipher", "aes-128-ctr"},
        {"cipherparams", {{"iv", to_hex(iv)}}},
        {"ciphertext", to_hex(ciphertext)},
        {"kdf", "scrypt"},
        {"kdfparams", {{"dklen", 32}, {"n", kScryptN}, {"p", 1}, {"r", 8}, {"salt", to_hex(salt)}}},
        {"mac", to_hex(mac_of(*derived, ciphertext))}}}};
  return document.dump() + "\n";
}

}  // namespace hasigner::keys
