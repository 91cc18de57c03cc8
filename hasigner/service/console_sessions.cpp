#include "hasigner/service/console_sessions.hpp"

#include <algorithm>
#include <vector>

#include "hasigner/protection/system_clock.hpp"

namespace hasigner::service {

namespace {

std::string random_text() {
  std::array<std::uint8_t, 32> random{};
  SystemRandom().fill(random);
  return to_hex(random);
}

/// The port of a host, with the dash that goes before it; empty for a host without one.
std::string port_of(std::string_view host) {
  const auto colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) return "";
  const auto port = host.substr(colon + 1);
  const bool is_number = !port.empty() && std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? "-" + std::string(port) : "";
}

}  // namespace

std::string console_cookie(std::string_view host) {
  return "ha-signer-console" + port_of(host);
}

std::optional<SessionCredential> session_credential(std::string_view cookies, std::string_view key,
                                                    std::string_view host) {
  if (key.empty()) return std::nullopt;
  const auto name = console_cookie(host) + "=";
  while (!cookies.empty()) {
    const auto begin = std::min(cookies.find_first_not_of(' '), cookies.size());
    const auto end = std::min(cookies.find(';'), cookies.size());
    const auto cookie = begin < end ? cookies.substr(begin, end - begin) : std::string_view();
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    if (!cookie.starts_with(name)) continue;
    return SessionCredential{.id = std::string(cookie.substr(name.size())), .key = std::string(key)};
  }
  return std::nullopt;
}

void ConsoleSessions::make_room(const Fingerprint& token, MonotonicTime now) {
  std::erase_if(entries_, [now](const auto& entry) { return entry.second.ends_at <= now; });
  const auto is_of_token = [&token](const auto& entry) { return are_same(entry.second.token, token); };
  if (std::ranges::count_if(entries_, is_of_token) < static_cast<std::ptrdiff_t>(kMostOfClient)) return;
  auto oldest = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (!is_of_token(*entry)) continue;
    if (oldest == entries_.end() || entry->second.ends_at < oldest->second.ends_at) oldest = entry;
  }
  entries_.erase(oldest);
}

SessionCredential ConsoleSessions::open(const Fingerprint& token, MonotonicTime now) {
  make_room(token, now);
  const SessionCredential credential{.id = random_text(), .key = random_text()};
  entries_[fingerprint_of(credential.id)] =
      Entry{.key = fingerprint_of(credential.key), .token = token, .ends_at = now + kLife};
  return credential;
}

std::optional<ConsoleSessions::Session> ConsoleSessions::find(const SessionCredential& credential,
                                                              const Clients& clients, MonotonicTime now) const {
  const auto found = entries_.find(fingerprint_of(credential.id));
  if (found == entries_.end()) return std::nullopt;
  const auto& [id, entry] = *found;
  if (entry.ends_at <= now || !are_same(entry.key, fingerprint_of(credential.key))) return std::nullopt;
  const Client* const client = clients.by_token(entry.token);
  if (!client) return std::nullopt;
  auto person = std::make_shared<Client>(*client);
  person->rights.reset();
  for (const auto right : {Right::kRead, Right::kOperate}) {
    person->rights.set(static_cast<std::size_t>(right), client->may(right));
  }
  return Session{.id = id, .client = std::move(person), .ends_at = entry.ends_at};
}

}  // namespace hasigner::service
