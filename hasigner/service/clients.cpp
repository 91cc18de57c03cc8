#include "hasigner/service/clients.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "hasigner/duty/utf8.hpp"
#include "hasigner/keys/secret_file.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::service {

namespace {

constexpr std::string_view kTokenPrefix = "hs_";
constexpr std::size_t kLongestToken = 512;
constexpr std::size_t kMostClients = 1'000;
constexpr std::string_view kSpace = " \t\r";

/// Sets that restrict; without one nothing is restricted.
template <class T>
bool allows_all_of(const std::optional<std::set<T>>& allowed, const std::optional<std::set<T>>& wanted) {
  if (!allowed) return true;
  return wanted && std::includes(allowed->begin(), allowed->end(), wanted->begin(), wanted->end());
}

constexpr std::array kRightNames = {
    std::string_view("sign"),         std::string_view("steps"),         std::string_view("read"),
    std::string_view("operate"),      std::string_view("unprotected"),   std::string_view("claimed"),
    std::string_view("transactions"), std::string_view("auth-requests"), std::string_view("steps-held-keys")};
static_assert(kRightNames.size() == kRights);

std::optional<Fingerprint> parse_fingerprint(std::string_view hex) {
  Fingerprint value{};
  if (hex.size() != 2 * value.size() || !from_hex(hex, value)) return std::nullopt;
  return value;
}

std::string_view take_word(std::string_view& text) {
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return text = {};
  text.remove_prefix(begin);
  const auto word = text.substr(0, text.find_first_of(kSpace));
  text.remove_prefix(word.size());
  return word;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// The token of `Authorization: Bearer TOKEN`.
std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != kScheme[i]) return std::nullopt;
  }
  return trimmed(authorization.substr(kScheme.size()));
}

Client client_of_every_caller() {
  Client client{.name = "anonymous", .rights = {}, .validators = {}, .duty_types = {}};
  for (const auto right : {Right::kSign, Right::kSteps, Right::kRead}) {
    client.rights.set(static_cast<std::size_t>(right));
  }
  return client;
}

}  // namespace

Fingerprint fingerprint_of(std::string_view secret) {
  Fingerprint digest{};
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  return digest;
}

bool are_same(const Fingerprint& a, const Fingerprint& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<Fingerprint> token_fingerprint(const RequestHead& head) {
  const auto token = bearer_token(head.authorization);
  if (!token || token->size() > kLongestToken) return std::nullopt;
  return fingerprint_of(*token);
}

bool Client::may_see(std::string_view validator) const {
  if (!validators) return true;
  const auto address = EthAddress::try_parse(validator);
  return address && may_use(*address);
}

bool Client::may_as_much_as(const Client& other) const {
  return (other.rights & ~rights).none() && allows_all_of(validators, other.validators) &&
         allows_all_of(duty_types, other.duty_types);
}

std::string_view to_string(Right right) {
  return kRightNames[static_cast<std::size_t>(right)];
}

/// Reads one file, line by line.
class ClientsParser {
 public:
  explicit ClientsParser(std::string_view file) : file_(printable(file, 300)) {}

  Parsed<Clients> parse(std::string_view text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const auto end = std::min(text.find('\n', begin), text.size());
      ++line_;
      auto line = text.substr(begin, end - begin);
      line = line.substr(0, line.find('#'));
      begin = end + 1;
      if (line.find_first_not_of(kSpace) == std::string_view::npos) continue;
      if (auto error = add(line)) return std::unexpected(std::move(*error));
    }
    if (clients_.entries_.empty()) return refuse("empty", "at least one client");
    return std::move(clients_);
  }

 private:
  using Entry = Clients::Entry;
  using Error = std::optional<InvalidInput>;

  /// Names the line and the rule, and does not show the line: it may hold a token by mistake.
  [[nodiscard]] std::unexpected<InvalidInput> refuse(std::string what, std::string allowed) const {
    return std::unexpected(error(std::move(what), std::move(allowed)));
  }
  [[nodiscard]] InvalidInput error(std::string what, std::string allowed) const {
    return {line_ == 0 ? file_ : file_ + ":" + std::to_string(line_), std::move(what), std::move(allowed)};
  }

  Error add(std::string_view line) {
    if (clients_.entries_.size() >= kMostClients) return error("one client too many", "at most 1000 clients");
    Entry entry;
    const auto name = take_word(line);
    const auto credential = take_word(line);
    const auto rights = take_word(line);
    if (rights.empty()) return error("a line of fewer than three words", "NAME CREDENTIAL RIGHTS");
    if (auto wrong = set_name(entry, name)) return wrong;
    if (auto wrong = set_credential(entry, credential)) return wrong;
    if (auto wrong = set_rights(entry, rights)) return wrong;
    while (line.find_first_not_of(kSpace) != std::string_view::npos) {
      if (auto wrong = set_limit(entry, take_word(line))) return wrong;
    }
    clients_.entries_.push_back(std::move(entry));
    return std::nullopt;
  }

  Error set_name(Entry& entry, std::string_view name) {
    const bool plain = std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
    if (!plain || name.size() > 64) return error("an invalid name", "1 to 64 printable ASCII characters");
    for (const auto& other : clients_.entries_) {
      if (other.client.name == name) return error("a name that occurs twice", "a name for each client");
    }
    entry.client.name = name;
    return std::nullopt;
  }

  Error set_credential(Entry& entry, std::string_view text) {
    if (take_prefix(text, "token:sha256:")) {
      entry.token = parse_fingerprint(text);
    } else if (take_prefix(text, "certificate:sha256:")) {
      entry.certificate = parse_fingerprint(text);
    } else if (take_prefix(text, "certificate:cn:")) {
      entry.common_name = text;
    }
    if (!entry.token && !entry.certificate && entry.common_name.empty()) {
      return error("an invalid credential",
                   "token:sha256:HEX, certificate:sha256:HEX (64 hexadecimal digits) or certificate:cn:COMMON_NAME; "
                   "`ha-signer token` makes a token with its hash");
    }
    for (const auto& other : clients_.entries_) {
      const bool token_again = entry.token && other.token && are_same(*entry.token, *other.token);
      if (token_again || (entry.certificate && entry.certificate == other.certificate) ||
          (!entry.common_name.empty() && entry.common_name == other.common_name)) {
        return error("a credential that occurs twice", "a credential for each client");
      }
    }
    return std::nullopt;
  }

  Error set_rights(Entry& entry, std::string_view text) {
    for (const auto word : split(text)) {
      const auto* const found = std::ranges::find(kRightNames, word);
      if (found == kRightNames.end()) {
        return error("an unknown right",
                     "comma-separated words: sign, steps, read, operate, unprotected, claimed, transactions, "
                     "auth-requests, steps-held-keys");
      }
      entry.client.rights.set(static_cast<std::size_t>(found - kRightNames.begin()));
    }
    return refuse_combination(entry.client);
  }

  /// To a node up to 4.x a message that no row has may be a proposal whose row is gone.
  [[nodiscard]] Error refuse_combination(const Client& client) const {
    if (client.may(Right::kClaimed) && client.may(Right::kUnprotected)) {
      return error(
          "the rights claimed and unprotected together, so that a duty whose row is gone would be signed without "
          "protection",
          "claimed alone, or claimed,auth-requests where all nodes behind the client are of Aztec 5.0 or later");
    }
    if (client.may(Right::kAuthRequests) && !client.may(Right::kClaimed)) {
      return error("the right auth-requests without claimed",
                   "both, or unprotected for a client that is not an unchanged Aztec node");
    }
    return std::nullopt;
  }

  Error set_limit(Entry& entry, std::string_view text) {
    if (take_prefix(text, "validators=")) return set_validators(entry, text);
    if (take_prefix(text, "duty-types=")) return set_duty_types(entry, text);
    return error("an unknown word after the rights", "validators=ADDRESS,… or duty-types=TYPE,…");
  }

  Error set_validators(Entry& entry, std::string_view text) {
    if (entry.client.validators) return error("validators= twice", "it once");
    entry.client.validators.emplace();
    for (const auto word : split(text)) {
      const auto address = EthAddress::try_parse(word);
      if (!address) return error("a validator that is not an address", "0x and 40 hexadecimal digits");
      entry.client.validators->insert(*address);
    }
    return std::nullopt;
  }

  Error set_duty_types(Entry& entry, std::string_view text) {
    if (entry.client.duty_types) return error("duty-types= twice", "it once");
    entry.client.duty_types.emplace();
    for (const auto word : split(text)) {
      const auto type = parse_duty_type(word);
      if (!type) return error("an unknown duty type", type.error().allowed);
      entry.client.duty_types->insert(*type);
    }
    return std::nullopt;
  }

  std::string file_;
  std::size_t line_ = 0;
  Clients clients_;
};

Clients Clients::without_file() {
  Clients clients;
  clients.every_caller_ = client_of_every_caller();
  return clients;
}

Parsed<Clients> Clients::parse(std::string_view text, std::string_view file) {
  return ClientsParser(file).parse(text);
}

Parsed<Clients> Clients::load(const std::filesystem::path& file) {
  const auto text = keys::read_secret_file(file);
  if (!text) {
    auto error = text.error();
    error.field = "the clients file " + printable(file.string(), 300);
    return std::unexpected(std::move(error));
  }
  return parse(text->view(), file.string());
}

std::vector<Client> Clients::list() const {
  std::vector<Client> clients;
  for (const Entry& entry : entries_) clients.push_back(entry.client);
  return clients;
}

std::optional<std::string> Clients::any_with(std::initializer_list<Right> rights) const {
  for (const auto& entry : entries_) {
    if (std::ranges::all_of(rights, [&](Right right) { return entry.client.may(right); })) return entry.client.name;
  }
  return std::nullopt;
}

const Client* Clients::identify(const RequestHead& head) const {
  if (every_caller_) return &*every_caller_;
  if (!head.authorization.empty()) {
    const auto token = token_fingerprint(head);
    return token ? by_token(*token) : nullptr;
  }
  return head.certificate ? by_certificate(*head.certificate) : nullptr;
}

const Client* Clients::by_token(const Fingerprint& token) const {
  const Client* found = nullptr;
  for (const auto& entry : entries_) {
    if (entry.token && are_same(*entry.token, token)) found = &entry.client;
  }
  return found;
}

const Client* Clients::by_certificate(const ClientCertificate& certificate) const {
  const auto fingerprint = parse_fingerprint(certificate.fingerprint);
  for (const auto& entry : entries_) {
    if (entry.certificate && fingerprint && are_same(*entry.certificate, *fingerprint)) return &entry.client;
    if (!entry.common_name.empty() && entry.common_name == certificate.common_name) return &entry.client;
  }
  return nullptr;
}

NewToken make_token() {
  std::array<std::uint8_t, 32> random{};
  SystemRandom().fill(random);
  NewToken made{std::string(kTokenPrefix) + to_hex(random), {}};
  made.credential = "token:sha256:" + to_hex(fingerprint_of(made.token));
  return made;
}

}  // namespace hasigner::service
