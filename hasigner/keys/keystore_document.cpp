#include "hasigner/keys/keystore_document.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/json.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/remote_url.hpp"

namespace hasigner::keys {

namespace {

using Kind = JsonValue::Kind;

/// Ends a reading that is many calls deep; caught by parse_keystore().
struct Refused {
  InvalidInput why;
};

[[noreturn]] void refuse_value(std::string json_path, std::string value, std::string allowed) {
  throw Refused{{std::move(json_path), std::move(value), std::move(allowed)}};
}

/// What may be said of a value that may be a secret.
std::string shape_of(const JsonValue& value) {
  if (!value.is(Kind::kString)) return std::string(to_string(value.kind()));
  const auto size = value.text().size();
  const bool has_space = trimmed(value.text()).size() != size;
  return "a text of " + std::to_string(size) + (size == 1 ? " character" : " characters") +
         (has_space ? " with white space at its edges" : "") + " (not shown)";
}

/// The whole number that a JSON number is, in whatever way it is written: `1`, `1.0`, `1e0`.
std::optional<std::uint32_t> whole_number(const JsonValue& value, std::uint32_t most) {
  if (!value.is(Kind::kNumber)) return std::nullopt;
  const auto digits = value.text();
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (!(number >= 0 && number <= most) || number != std::floor(number)) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

constexpr std::string_view kRefusedByAztec = ", which Aztec's node refuses";

/// One value of the document and the way to it.
struct Node {
  const JsonValue& value;
  std::string json_path;
  std::vector<std::string>& doubts;  ///< of the document

  [[nodiscard]] bool is(Kind kind) const { return value.is(kind); }

  [[noreturn]] void refuse_as(std::string allowed) const {
    refuse_value(json_path, shape_of(value), std::move(allowed));
  }

  void doubt(const std::string& sentence) const { doubts.push_back(json_path + " " + sentence); }

  [[nodiscard]] std::string path_to(std::string_view name) const {
    // After a file's name stands a space, within the document a dot.
    return json_path + (json_path.ends_with(' ') ? "" : ".") + std::string(name);
  }

  /// `null` is an absent member.
  [[nodiscard]] std::optional<Node> find(std::string_view name) const {
    const JsonValue* const member = value.find(name);
    if (!member || member->is(Kind::kNull)) return std::nullopt;
    return Node{*member, path_to(name), doubts};
  }

  [[nodiscard]] Node at(std::string_view name, std::string allowed) const {
    auto member = find(name);
    if (!member) refuse_value(path_to(name), value.find(name) ? "null" : "missing", std::move(allowed));
    return std::move(*member);
  }

  [[nodiscard]] std::vector<Node> items() const {
    std::vector<Node> nodes;
    nodes.reserve(value.items().size());
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      nodes.push_back(Node{value.items()[i], json_path + "[" + std::to_string(i) + "]", doubts});
    }
    return nodes;
  }

  /// Refuses a value that is not an object, and members with other names than these.
  void expect_object(std::initializer_list<std::string_view> names) const {
    if (!is(Kind::kObject)) refuse_as("an object");
    std::string allowed;
    for (const auto name : names) allowed += (allowed.empty() ? "" : ", ") + std::string(name);
    for (const auto& [name, ignored] : value.members()) {
      if (std::ranges::find(names, name) != names.end()) continue;
      refuse_value(path_to(printable(name, 40)), "an unknown field", "one of " + allowed);
    }
  }

  [[nodiscard]] std::string text(std::string allowed) const {
    if (!is(Kind::kString) || value.text().empty()) refuse_as(std::move(allowed));
    return std::string(value.text());
  }

  [[nodiscard]] std::uint32_t number(std::uint32_t lowest) const {
    const auto read = whole_number(value, 0x7fff'ffff);
    if (read && *read >= lowest) return *read;
    // No key is written as a number, so one may be shown.
    refuse_value(json_path, is(Kind::kNumber) ? printable(value.text(), 40) : shape_of(value),
                 "a whole number from " + std::to_string(lowest) + " to 2147483647");
  }

  [[nodiscard]] std::optional<std::uint32_t> number_at(std::string_view name, std::uint32_t lowest) const {
    const auto member = find(name);
    if (!member && value.find(name)) doubts.push_back(path_to(name) + " is null" + std::string(kRefusedByAztec));
    return member ? std::optional(member->number(lowest)) : std::nullopt;
  }
};

template <class T>
T unwrap(Parsed<T> parsed) {
  if (!parsed) throw Refused{std::move(parsed.error())};
  return std::move(*parsed);
}

/// The text as Aztec's reader takes it, with the `0x` that may be missing there.
template <class Bytes>
std::optional<Bytes> hex_in(const Node& node) {
  if (!node.is(Kind::kString)) return std::nullopt;
  const auto text = node.value.text();
  const auto bytes = Bytes::try_parse(text.size() == 2 * Bytes::kSize ? "0x" + std::string(text) : std::string(text));
  if (bytes && text.starts_with("0X")) node.doubt("begins with 0X" + std::string(kRefusedByAztec));
  return bytes;
}

std::optional<EthAddress> find_address(const Node& node) {
  const auto address = hex_in<EthAddress>(node);
  if (!address) return std::nullopt;
  const auto digits = node.value.text().substr(node.value.text().size() - 2 * EthAddress::kSize);
  if (!checksum_matches("0x" + std::string(digits))) {
    node.doubt("is an address whose letter case does not match its checksum (EIP-55)" + std::string(kRefusedByAztec) +
               "; check it for a typing error");
  }
  return address;
}

EthAddress read_address(const Node& node) {
  const auto address = find_address(node);
  if (!address) node.refuse_as("an address: 0x and 40 hexadecimal digits");
  return *address;
}

std::shared_ptr<const SecretText> read_secret(const std::optional<Node>& node) {
  if (!node) return nullptr;
  if (!node->is(Kind::kString)) node->refuse_as("a string");
  return std::make_shared<const SecretText>(node->value.text());
}

std::string read_url(const Node& node) {
  const auto url = url_without_white_space(node.text("a URL: http:// or https:// and a host"));
  static_cast<void>(unwrap(RemoteUrl::parse(url, node.json_path)));
  return url;
}

RemoteSigner read_remote_fields(const Node& node) {
  RemoteSigner remote{.url = read_url(node.at("remoteSignerUrl", "a URL")), .cert_path = {}, .cert_password = {}};
  const auto path = node.find("certPath");
  if (path && !path->is(Kind::kString)) path->refuse_as("the path of a PEM or PKCS#12 file");
  const auto password = node.find("certPass");
  const auto secret = read_secret(password);
  const bool is_tls = unwrap(RemoteUrl::parse(remote.url, node.json_path)).is_tls;
  if (path && !path->value.text().empty() && !is_tls) {
    path->doubt("is not used, since the URL begins with http:// and not with https://");
  } else if (path && !path->value.text().empty()) {
    remote.cert_path = path->value.text();
    remote.cert_password = secret;
  } else if (secret && !secret->empty()) {
    password->doubt("opens nothing, since there is no certPath");
  }
  return remote;
}

std::optional<RemoteSigner> read_remote_signer(const std::optional<Node>& node) {
  if (!node) return std::nullopt;
  if (node->is(Kind::kString)) return RemoteSigner{.url = read_url(*node), .cert_path = {}, .cert_password = {}};
  if (!node->is(Kind::kObject)) node->refuse_as("a URL, or an object of remoteSignerUrl, certPath and certPass");
  node->expect_object({"remoteSignerUrl", "certPath", "certPass"});
  return read_remote_fields(*node);
}

Account read_account(const Node& node) {
  constexpr const char* kAllowed =
      "an account: a private key (0x and 64 hexadecimal digits), an address (0x and 40), or an object with address and "
      "remoteSignerUrl, or with path and password";
  if (node.is(Kind::kString)) {
    if (const auto address = find_address(node)) return {node.json_path, RemoteKey{*address, std::nullopt}};
    if (node.value.text().size() != 66 || !node.value.text().starts_with("0x")) node.refuse_as(kAllowed);
    return {node.json_path, unwrap(SecretKey::parse(node.value.text(), node.json_path))};
  }
  if (!node.is(Kind::kObject)) node.refuse_as(kAllowed);
  if (const auto path = node.find("path")) {
    node.expect_object({"path", "password"});
    return {node.json_path, EncryptedKeys{path->text("the path of an encrypted key or of a directory"),
                                          read_secret(node.find("password"))}};
  }
  if (node.find("address") || node.find("remoteSignerUrl")) {
    node.expect_object({"address", "remoteSignerUrl", "certPath", "certPass"});
    const auto address = read_address(node.at("address", "an address: 0x and 40 hexadecimal digits"));
    return {node.json_path, RemoteKey{address, read_remote_fields(node)}};
  }
  if (node.find("mnemonic")) refuse_value(node.json_path, "a mnemonic", "one account: a mnemonic stands for several");
  node.expect_object({"address", "remoteSignerUrl", "certPath", "certPass", "path", "password"});
  node.refuse_as(kAllowed);
}

MnemonicKeys read_mnemonic(const Node& node) {
  node.expect_object({"mnemonic", "addressIndex", "accountIndex", "addressCount", "accountCount"});
  const auto words = node.at("mnemonic", "a mnemonic");
  if (!words.is(Kind::kString) || words.value.text().empty()) words.refuse_as("a mnemonic");
  MnemonicKeys keys{.json_path = node.json_path,
                    .mnemonic = SecretText(words.value.text()),
                    .first_account = node.number_at("accountIndex", 0).value_or(0),
                    .account_count = node.number_at("accountCount", 1).value_or(1),
                    .first_address = node.number_at("addressIndex", 0).value_or(0),
                    .address_count = node.number_at("addressCount", 1).value_or(1)};
  const std::uint64_t count = std::uint64_t{keys.account_count} * keys.address_count;
  if (count > MnemonicKeys::kMaxKeys) {
    refuse_value(node.json_path, std::to_string(count) + " keys",
                 "at most " + std::to_string(MnemonicKeys::kMaxKeys) + " keys");
  }
  constexpr std::uint32_t kEnd = 0x8000'0000;
  if (keys.first_account + keys.account_count > kEnd || keys.first_address + keys.address_count > kEnd) {
    refuse_value(node.json_path, "a range beyond index 2147483647", "a range within 0 to 2147483647");
  }
  return keys;
}

/// One account, an array of them, or a mnemonic; `read_one` reads an account.
template <class ReadOne>
Accounts read_accounts_with(const Node& node, ReadOne read_one) {
  if (node.is(Kind::kObject) && node.find("mnemonic")) return read_mnemonic(node);
  std::vector<Account> accounts;
  if (!node.is(Kind::kArray)) {
    accounts.push_back(read_one(node));
    return accounts;
  }
  for (const auto& item : node.items()) accounts.push_back(read_one(item));
  return accounts;
}

Accounts read_accounts(const Node& node) {
  return read_accounts_with(node, read_account);
}

/// BLS keys sign no duties, so they are only checked.
void check_bls(const Node& node) {
  constexpr const char* kAllowed = "a BLS key: 0x and 64 hexadecimal digits, or an object of path and password";
  if (node.is(Kind::kObject)) {
    node.expect_object({"path", "password"});
    static_cast<void>(node.at("path", "the path of an EIP-2335 file").text("the path of an EIP-2335 file"));
    static_cast<void>(read_secret(node.find("password")));
    return;
  }
  const auto text = node.is(Kind::kString) ? node.value.text() : "";
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  if (text.size() != 66 || !text.starts_with("0x") || !std::ranges::all_of(text.substr(2), is_hex)) {
    node.refuse_as(kAllowed);
  }
}

Account read_attester(const Node& node) {
  if (!node.is(Kind::kObject) || !(node.value.find("eth") || node.value.find("bls"))) return read_account(node);
  node.expect_object({"eth", "bls"});
  auto account = read_account(node.at("eth", "an account"));
  if (const auto bls = node.find("bls")) check_bls(*bls);
  return account;
}

/// An Aztec address in base64.
std::optional<FeeRecipient> from_base64(std::string_view text) {
  // 32 bytes are 43 characters and one that fills up; OpenSSL decodes that one to a byte as well.
  constexpr std::size_t kLength = 44;
  if (text.size() != kLength || !text.ends_with('=') || text[kLength - 2] == '=') return std::nullopt;
  std::array<std::uint8_t, FeeRecipient::kSize + 1> decoded{};
  const auto* const input = reinterpret_cast<const unsigned char*>(text.data());
  if (EVP_DecodeBlock(decoded.data(), input, kLength) != static_cast<int>(decoded.size())) return std::nullopt;
  FeeRecipient recipient;
  std::copy_n(decoded.begin(), FeeRecipient::kSize, recipient.bytes().begin());
  return recipient;
}

/// What Node.js writes for the bytes of an address: `{"type": "Buffer", "data": [1, 2, …]}`.
std::optional<FeeRecipient> from_buffer(const JsonValue& value) {
  const JsonValue* const type = value.find("type");
  const JsonValue* const data = value.find("data");
  if (!type || type->text() != "Buffer" || !data || data->items().size() != FeeRecipient::kSize) return std::nullopt;
  FeeRecipient recipient;
  for (std::size_t i = 0; i < FeeRecipient::kSize; ++i) {
    const auto byte = whole_number(data->items()[i], 0xff);
    if (!byte) return std::nullopt;
    recipient.bytes()[i] = static_cast<std::uint8_t>(*byte);
  }
  return recipient;
}

/// The order of the field that Aztec addresses are elements of: the scalar field of BN254.
constexpr std::array<std::uint8_t, 32> kFieldOrder{0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45,
                                                   0xb6, 0x81, 0x81, 0x58, 0x5d, 0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9,
                                                   0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01};

FeeRecipient read_fee_recipient(const Node& node) {
  auto recipient = hex_in<FeeRecipient>(node);
  if (!recipient && node.is(Kind::kString)) recipient = from_base64(node.value.text());
  if (!recipient && node.is(Kind::kObject)) recipient = from_buffer(node.value);
  if (!recipient) node.refuse_as("an Aztec address: 0x and 64 hexadecimal digits");
  if (recipient->bytes() >= kFieldOrder) {
    node.doubt("is not an Aztec address, since it is not below the order of the field" + std::string(kRefusedByAztec));
  }
  return *recipient;
}

Roles read_roles(const Node& node) {
  Roles roles;
  if (const auto coinbase = node.find("coinbase")) roles.coinbase = read_address(*coinbase);
  if (const auto publisher = node.find("publisher")) {
    roles.publishers = std::make_shared<const Accounts>(read_accounts(*publisher));
  }
  if (const auto recipient = node.find("feeRecipient")) roles.fee_recipient = read_fee_recipient(*recipient);
  return roles;
}

bool is_without_accounts(const Accounts& accounts) {
  const auto* const listed = std::get_if<std::vector<Account>>(&accounts);
  return listed && listed->empty();
}

ValidatorEntry read_validator(const Node& node, const Roles& defaults) {
  node.expect_object({"attester", "coinbase", "publisher", "feeRecipient", "remoteSigner", "fundingAccount"});
  const auto attester = node.at("attester", "an account, an array of accounts or a mnemonic");
  ValidatorEntry entry{.json_path = node.json_path,
                       .attesters = read_accounts_with(attester, read_attester),
                       .roles = read_roles(node),
                       .remote_signer = read_remote_signer(node.find("remoteSigner"))};
  if (is_without_accounts(entry.attesters)) attester.doubt("is empty: this validator signs nothing");
  if (const auto funding = node.find("fundingAccount")) static_cast<void>(read_account(*funding));
  if (!entry.roles.fee_recipient && !defaults.fee_recipient) {
    refuse_value(node.json_path + ".feeRecipient", "missing", "an Aztec address: 0x and 64 hexadecimal digits");
  }
  return entry;
}

/// Keys of a prover sign no duties, so they are only checked.
void check_prover(const Node& node) {
  if (!node.is(Kind::kObject) || !(node.find("id") || node.find("publisher"))) {
    static_cast<void>(read_account(node));
    return;
  }
  node.expect_object({"id", "publisher"});
  static_cast<void>(read_address(node.at("id", "an address: 0x and 40 hexadecimal digits")));
  static_cast<void>(read_accounts(node.at("publisher", "an account, an array of accounts or a mnemonic")));
}

int read_version(const Node& document) {
  const auto version = document.at("schemaVersion", "1 or 2");
  const auto number = whole_number(version.value, 2);
  if (number && *number != 0) return static_cast<int>(*number);
  refuse_value(version.json_path, version.is(Kind::kNumber) ? printable(version.value.text()) : shape_of(version.value),
               "the number 1 or 2");
}

void expect_known_fields(const Node& document, int version) {
  if (version == 1) {
    document.expect_object({"schemaVersion", "validators", "slasher", "remoteSigner", "prover", "fundingAccount"});
  } else {
    document.expect_object({"schemaVersion", "validators", "slasher", "remoteSigner", "prover", "fundingAccount",
                            "publisher", "coinbase", "feeRecipient"});
  }
}

/// Whether the document contains something that its readers must not learn.
bool holds_secrets(const JsonValue& value) {
  for (const auto& [name, member] : value.members()) {
    if (name == "mnemonic" || name == "password" || name == "certPass") return true;
    // This value is as long as a key, but public.
    if (name != "feeRecipient" && holds_secrets(member)) return true;
  }
  if (std::ranges::any_of(value.items(), holds_secrets)) return true;
  if (!value.is(Kind::kString)) return false;
  const auto text = value.text();
  const bool may_be_key = text.size() == 66 && text.starts_with("0x");
  return may_be_key || (text.contains("://") && text.find_first_of("@?") != std::string_view::npos);
}

KeystoreDocument read_document(const Node& document, std::string_view file) {
  if (!document.is(Kind::kObject)) refuse_value(std::string(file), shape_of(document.value), "an object");
  const int version = read_version(document);
  expect_known_fields(document, version);
  KeystoreDocument read{.file = std::string(file), .version = version, .holds_secrets = holds_secrets(document.value)};
  if (version == 2) read.defaults = read_roles(document);
  read.remote_signer = read_remote_signer(document.find("remoteSigner"));
  if (const auto slasher = document.find("slasher")) static_cast<void>(read_accounts(*slasher));
  if (const auto funding = document.find("fundingAccount")) static_cast<void>(read_account(*funding));
  if (const auto prover = document.find("prover")) {
    check_prover(*prover);
    read.has_prover = true;
  }
  const auto validators = document.find("validators");
  if (!validators && !read.has_prover) {
    refuse_value(document.json_path + "validators", "missing", "there, or else a prover");
  }
  if (!validators) return read;
  if (!validators->is(Kind::kArray)) validators->refuse_as("an array of validators");
  if (validators->value.items().empty() && !read.has_prover) validators->doubt("is empty: nothing is signed for it");
  for (const auto& validator : validators->items()) read.validators.push_back(read_validator(validator, read.defaults));
  return read;
}

}  // namespace

std::string RemoteSigner::shown_url() const {
  const auto begin = url.find("://") + 3;
  const auto authority_end = std::min(url.find_first_of("/?#", begin), url.size());
  const auto at = url.rfind('@', authority_end);
  const auto host = at == std::string::npos || at < begin ? begin : at + 1;
  const auto end = std::min(url.find_first_of("?#", begin), url.size());
  return printable(url.substr(0, begin) + url.substr(host, end - host), 200);
}

bool operator==(const RemoteSigner& a, const RemoteSigner& b) {
  const auto password = [](const RemoteSigner& remote) {
    return remote.cert_password ? remote.cert_password->view() : std::string_view();
  };
  return a.url == b.url && a.cert_path == b.cert_path && password(a) == password(b);
}

Parsed<KeystoreDocument> parse_keystore(std::string_view json, std::string_view file) {
  const auto document = JsonValue::parse(json, file);
  if (!document) return std::unexpected(document.error());
  std::vector<std::string> doubts;
  try {
    auto read = read_document(Node{*document, std::string(file) + " ", doubts}, file);
    read.doubts = std::move(doubts);
    return read;
  } catch (Refused& refused) {
    return std::unexpected(std::move(refused.why));
  }
}

}  // namespace hasigner::keys
