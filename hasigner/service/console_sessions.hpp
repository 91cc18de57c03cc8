#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hasigner/protection/clock.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// The header that carries the key of a session.
inline constexpr std::string_view kConsoleKeyHeader = "X-HA-Signer-Console";

/// The name of the cookie with the id of a session. It has the port, since the cookies of a browser belong to a host
/// with all its ports, and several services may be there.
[[nodiscard]] std::string console_cookie(std::string_view host);
/// What a request with these headers carries for a session. Returns nullopt unless both secrets are there.
[[nodiscard]] std::optional<SessionCredential> session_credential(std::string_view cookies, std::string_view key,
                                                                  std::string_view host);

/// The sessions of the console: what a browser has instead of a token.
///
/// A session has two secrets, and a request needs both. The browser keeps the id in a cookie that no script can read.
/// The page keeps the key for its own origin and sends it in a header, which a page of another origin, and a service on
/// another port of the host, have not. A session gives the rights to read and to operate, as far as the client has them
/// at that moment, and never one to sign; it ends when the clients file has its token no more. Only fingerprints of
/// secrets are kept. Thread safety: one executor.
class ConsoleSessions {
 public:
  static constexpr std::size_t kMostOfClient = 8;  ///< then the oldest one ends
  static constexpr std::chrono::hours kLife{8};

  struct Session {
    Fingerprint id{};
    std::shared_ptr<const Client> client;  ///< with the rights that the session gives
    MonotonicTime ends_at;
  };

  /// Opens a session of the client that has this token.
  [[nodiscard]] SessionCredential open(const Fingerprint& token, MonotonicTime now);
  /// Returns nullopt for a session that does not exist any more, or whose token `clients` do not have.
  [[nodiscard]] std::optional<Session> find(const SessionCredential& credential, const Clients& clients,
                                            MonotonicTime now) const;
  void end(const Fingerprint& id) { entries_.erase(id); }
  /// Ends those whose token these clients do not have: they do not come back with the token.
  void end_without_client(const Clients& clients) {
    std::erase_if(entries_, [&clients](const auto& entry) { return !clients.by_token(entry.second.token); });
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Fingerprint key{};
    Fingerprint token{};
    MonotonicTime ends_at;
  };

  void make_room(const Fingerprint& token, MonotonicTime now);

  std::map<Fingerprint, Entry> entries_;
};

}  // namespace hasigner::service
