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
  explicit V3Reader(std::string_view field) : field_(field) {}

  std::unexpected<InvalidInput> refuse(std::string_view member, std::string value, std::string allowed) const {
    const auto json_path = member.empty() ? field_ : field_ + " " + std::string(member);
    return std::unexpected(InvalidInput{json_path, std::move(value), std::move(allowed)});
  }

  Parsed<std::string_view> text(const JsonValue* object, std::string_view name, std::string_view json_path) const {
    const JsonValue* const value = object ? object->find(name) : nullptr;
    if (!value || !value->is(Kind::kString)) return refuse(json_path, value ? kind(*value) : "missing", "a string");
    return value->text();
  }

  Parsed<std::uint64_t> number(const JsonValue* object, std::string_view name, std::string_view json_path) const {
    const JsonValue* const value = object ? object->find(name) : nullptr;
    if (!value || !value->is(Kind::kNumber)) return refuse(json_path, value ? kind(*value) : "missing", "a number");
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
  const JsonValue* const params = crypto.find("kdfparams");
  const auto kdf = reader.text(&crypto, "kdf", "crypto.kdf");
  if (!kdf) return std::unexpected(kdf.error());
  const auto salt = reader.bytes(params, "salt", "crypto.kdfparams.salt");
  if (!salt) return std::unexpected(salt.error());
  if (salt->empty()) return reader.refuse("crypto.kdfparams.salt", "empty", "at least one byte");
  const auto length = reader.number(params, "dklen", "crypto.kdfparams.dklen");
  if (!length) return std::unexpected(length.error());
  if (*length < kDerivedBytes || *length > kMaxDerivedBytes) {
    return reader.refuse("crypto.kdfparams.dklen", std::to_string(*length), "from 32 to 1024");
  }
  if (*kdf == "scrypt") {
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
  if (*kdf != "pbkdf2") return reader.refuse("crypto.kdf", printable(*kdf), "scrypt or pbkdf2");
  const auto prf = reader.text(params, "prf", "crypto.kdfparams.prf");
  if (!prf) return std::unexpected(prf.error());
  if (*prf != "hmac-sha256") return reader.refuse("crypto.kdfparams.prf", printable(*prf), "hmac-sha256");
  const auto rounds = reader.number(params, "c", "crypto.kdfparams.c");
  if (!rounds) return std::unexpected(rounds.error());
  if (*rounds == 0 || *rounds > kMaxPbkdf2Rounds) {
    return reader.refuse("crypto.kdfparams.c", std::to_string(*rounds),
                         "from 1 to " + std::to_string(kMaxPbkdf2Rounds));
  }
  SecretBytes derived(kDerivedBytes);
  HASIGNER_ASSERT(PKCS5_PBKDF2_HMAC(password.view().data(), static_cast<int>(password.size()), salt->data(),
                                    static_cast<int>(salt->size()), static_cast<int>(*rounds), EVP_sha256(),
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

/// The object that holds the ciphertext. Early writers began its name with a capital letter.
const JsonValue* crypto_of(const JsonValue& document) {
  const JsonValue* const crypto = document.find("crypto");
  return crypto ? crypto : document.find("Crypto");
}

/// The version, or the value that the file has instead.
std::string shown_version(const JsonValue& document) {
  const JsonValue* const version = document.find("version");
  if (!version) return "missing";
  return version->is(Kind::kNumber) ? printable(version->text(), 20) : std::string(to_string(version->kind()));
}

bool is_version_3(const JsonValue& document) {
  const JsonValue* const version = document.find("version");
  return version && version->text() == "3";
}

Parsed<SecretKey> open_document(const V3Reader& reader, const JsonValue& document, const SecretText& password) {
  if (!document.is(Kind::kObject)) return reader.refuse("", std::string(to_string(document.kind())), "an object");
  if (!is_version_3(document)) return reader.refuse("version", shown_version(document), "3");
  const JsonValue* const crypto = crypto_of(document);
  if (!crypto || !crypto->is(Kind::kObject)) {
    return reader.refuse("crypto", crypto ? std::string(to_string(crypto->kind())) : "missing", "an object");
  }
  const auto cipher = reader.text(crypto, "cipher", "crypto.cipher");
  if (!cipher) return std::unexpected(cipher.error());
  if (*cipher != "aes-128-ctr") return reader.refuse("crypto.cipher", printable(*cipher), "aes-128-ctr");
  const auto ciphertext = reader.bytes(crypto, "ciphertext", "crypto.ciphertext");
  if (!ciphertext) return std::unexpected(ciphertext.error());
  const auto iv = reader.bytes(crypto->find("cipherparams"), "iv", "crypto.cipherparams.iv");
  if (!iv) return std::unexpected(iv.error());
  const auto mac = reader.bytes(crypto, "mac", "crypto.mac");
  if (!mac) return std::unexpected(mac.error());
  if (iv->size() != 16)
    return reader.refuse("crypto.cipherparams.iv", std::to_string(iv->size()) + " bytes", "16 bytes");
  if (mac->size() != 32) return reader.refuse("crypto.mac", std::to_string(mac->size()) + " bytes", "32 bytes");
  if (ciphertext->empty() || ciphertext->size() > SecretKey::kSize) {
    return reader.refuse("crypto.ciphertext", std::to_string(ciphertext->size()) + " bytes", "1 to 32 bytes");
  }
  const auto derived = derive(reader, *crypto, password);
  if (!derived) return std::unexpected(derived.error());
  if (CRYPTO_memcmp(mac_of(*derived, *ciphertext).data(), mac->data(), mac->size()) != 0) {
    return reader.refuse("", "encrypted with another password, or damaged", "a key that the password opens");
  }
  // Early writers left out the zeros at the beginning of a key.
  auto plain = apply_cipher(*derived, *iv, *ciphertext);
  plain.insert(plain.begin(), SecretKey::kSize - plain.size(), 0);
  return SecretKey::from_bytes(std::span<const std::uint8_t, SecretKey::kSize>(plain), "the key in the file");
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
  if (const JsonValue* const named = document->find("address")) {
    const auto digits = named->text().starts_with("0x") ? named->text().substr(2) : named->text();
    if (EthAddress::try_parse("0x" + std::string(digits)) != address_of(*key)) {
      return reader.refuse("address", printable(named->text()),
                           address_of(*key).to_string() + ", the address of its key");
    }
  }
  return key;
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
