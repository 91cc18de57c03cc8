#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/duty/duty.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// What a client may do; see docs/api.md.
enum class Right : std::uint8_t {
  kSign,           ///< sign with the keys of the service, protected; see the addresses
  kSteps,          ///< claim, record and release for keys that are elsewhere
  kRead,           ///< duties, nodes, watermarks, events, figures
  kOperate,        ///< reload, drain
  kUnprotected,    ///< sign without a context, so without protection
  kClaimed,        ///< sign without a context what a node has claimed in the shared table
  kTransactions,   ///< sign transactions with the keys of publishers
  kAuthRequests,   ///< with kClaimed: messages without a context are AUTH_REQUEST, as those of nodes from 5.0 on are
  kStepsHeldKeys,  ///< with kSteps: claim also for validators whose keys the service holds
};
inline constexpr std::size_t kRights = 9;

[[nodiscard]] std::string_view to_string(Right right);

/// A client of the service, with its rights.
struct Client {
  std::string name;
  std::bitset<kRights> rights;
  std::optional<std::set<EthAddress>> validators;  ///< nullopt: all
  std::optional<std::set<DutyType>> duty_types;    ///< nullopt: all

  [[nodiscard]] bool may(Right right) const { return rights.test(static_cast<std::size_t>(right)); }
  [[nodiscard]] bool may_use(const EthAddress& validator) const {
    return !validators || validators->contains(validator);
  }
  /// Whether it may see rows of the validator, who is as a row has it.
  [[nodiscard]] bool may_see(std::string_view validator) const;
  [[nodiscard]] bool may_sign(DutyType type) const { return !duty_types || duty_types->contains(type); }
  /// Whether it may do everything that `other` may.
  [[nodiscard]] bool may_as_much_as(const Client& other) const;

  friend bool operator==(const Client&, const Client&) = default;
};

/// SHA-256 of a token, or of a certificate.
using Fingerprint = std::array<std::uint8_t, 32>;
[[nodiscard]] Fingerprint fingerprint_of(std::string_view secret);
/// In constant time.
[[nodiscard]] bool are_same(const Fingerprint& a, const Fingerprint& b);
/// Of the token in the header `Authorization`. Returns nullopt for a request without one.
[[nodiscard]] std::optional<Fingerprint> token_fingerprint(const RequestHead& head);

/// The clients of a service and how each is known.
///
/// A file of lines `NAME CREDENTIAL RIGHTS [validators=ADDRESS,…] [duty-types=TYPE,…]`; `#` begins a comment. A
/// credential is `token:sha256:HEX`, `certificate:sha256:HEX` or `certificate:cn:COMMON_NAME`; rights are
/// comma-separated: `sign`, `steps`, `read`, `operate`, `unprotected`, `claimed`, `transactions`,
/// `auth-requests`, `steps-held-keys`.
/// Thread safety: any thread.
class Clients {
 public:
  /// The clients without a file: any client that reaches the service may sign protected, take the steps, and read.
  [[nodiscard]] static Clients without_file();
  /// Errors: InvalidInput naming the file, the line and what is wrong with it. It does not show a token.
  [[nodiscard]] static Parsed<Clients> parse(std::string_view text, std::string_view file);
  /// Errors: as parse() and keys::read_secret_file().
  [[nodiscard]] static Parsed<Clients> load(const std::filesystem::path& file);

  /// The client that sends the request: by its token if there is one, otherwise by its certificate. Returns null for an
  /// unknown client. The time that this takes does not depend on the valid tokens.
  [[nodiscard]] const Client* identify(const RequestHead& head) const;
  /// True where the service runs without a clients file.
  [[nodiscard]] bool serves_every_caller() const { return every_caller_.has_value(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// The client that has this token. Returns null when none has it.
  [[nodiscard]] const Client* by_token(const Fingerprint& token) const;
  /// In the order of the file.
  [[nodiscard]] std::vector<Client> list() const;
  /// The name of a client that has all these rights; returns nullopt when none has them.
  [[nodiscard]] std::optional<std::string> any_with(std::initializer_list<Right> rights) const;

 private:
  struct Entry {
    Client client;
    std::optional<Fingerprint> token;
    std::optional<Fingerprint> certificate;
    std::string common_name;
  };
  friend class ClientsParser;

  [[nodiscard]] const Client* by_certificate(const ClientCertificate& certificate) const;

  std::optional<Client> every_caller_;
  std::vector<Entry> entries_;
};

/// A token for a client, and its credential for the clients file.
struct NewToken {
  std::string token;       ///< a secret: 32 random bytes
  std::string credential;  ///< `token:sha256:HEX`
};
[[nodiscard]] NewToken make_token();

}  // namespace hasigner::service
