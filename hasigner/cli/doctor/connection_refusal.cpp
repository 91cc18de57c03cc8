#include "hasigner/cli/doctor/connection_refusal.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hasigner::cli::doctor {

namespace {

struct Refusal {
  std::string_view words;  ///< of the message
  std::string_view mend;   ///< with ROLE, DATABASE and URL to be filled in
};

constexpr std::string_view kNoLine =
    "add to the server's pg_hba.conf, with the address from the message: hostssl DATABASE ROLE ADDRESS/32 "
    "scram-sha-256; then run as a superuser: select pg_reload_conf()";

/// In this order: a message may have the words of several.
constexpr std::array kRefusals = {
    Refusal{"is not permitted to log in", "run as a superuser: alter role ROLE login"},
    Refusal{"password authentication failed",
            "write the role's password into URL (: / ? # @ % in it percent-encoded), or run as a superuser: alter role "
            "ROLE password 'NEW' valid until 'infinity'"},
    Refusal{"no password supplied", "write the role's password into URL: postgresql://ROLE:PASSWORD@…"},
    Refusal{"permission denied for database", "run as a superuser: grant connect on database DATABASE to ROLE"},
    Refusal{"not currently accepting connections",
            "run as a superuser in another database: alter database DATABASE allow_connections true"},
    Refusal{"too many connections for role", "run as a superuser: alter role ROLE connection limit -1"},
    Refusal{"too many connections for database", "run as a superuser: alter database DATABASE connection limit -1"},
    // Of a connection that was tried with encryption and without.
    Refusal{"SSL encryption", kNoLine},
    Refusal{
        "no encryption",
        "write sslmode=verify-full&sslrootcert=FILE into URL, where pg_hba.conf has hostssl; otherwise add a line for "
        "DATABASE and ROLE to it, then run as a superuser: select pg_reload_conf()"},
    Refusal{"no pg_hba.conf entry", kNoLine},
    Refusal{
        "pg_hba.conf rejects",
        "take the line with reject out of the server's pg_hba.conf, or put one for DATABASE and ROLE before it; then "
        "run as a superuser: select pg_reload_conf()"},
    Refusal{" is unknown: ", "correct the host in URL, or this machine's name service (getent hosts HOST)"},
    Refusal{"certificate verify failed",
            "name in sslrootcert of URL the file with the authority that has signed the server's certificate, and see "
            "that the certificate has not expired"},
    Refusal{"does not match host name", "write into URL the host name for which the server's certificate was made"},
    Refusal{"root certificate file", "name in sslrootcert of URL a PEM file with the authority of the server"},
    Refusal{"does not support SSL",
            "run as a superuser: alter system set ssl = on; select pg_reload_conf(). The server needs a certificate "
            "(ssl_cert_file, ssl_key_file)"},
    Refusal{"requires a valid client certificate", "write sslcert=FILE&sslkey=FILE of a client certificate into URL"},
    Refusal{" alert ", "renew the client certificate that sslcert of URL names: the server does not accept it"},
    Refusal{"has group or world access", "chmod 600 the file that sslkey of URL names"},
    Refusal{"private key file", "name in sslkey of URL the key that belongs to the certificate of sslcert"},
};

bool is_plain(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/// `unknown` where the role has no name.
std::string identifier(std::string_view name, std::string_view unknown) {
  if (name.empty()) return std::string(unknown);
  if (is_plain(name)) return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string filled_in(std::string_view mend, const ConnectionAttempt& attempt) {
  std::string text;
  const std::array<std::pair<std::string_view, std::string>, 3> places{
      {{"ROLE", identifier(attempt.role, "ROLE")},
       {"DATABASE", identifier(attempt.database, "DATABASE")},
       {"URL", attempt.url_setting}}};
  while (!mend.empty()) {
    const auto place = std::ranges::find_if(places, [&](const auto& one) { return mend.starts_with(one.first); });
    text += place == places.end() ? std::string(1, mend.front()) : place->second;
    mend.remove_prefix(place == places.end() ? 1 : place->first.size());
  }
  return text;
}

}  // namespace

std::string mend_of_refusal(std::string_view message, const ConnectionAttempt& attempt) {
  if (message.contains("database \"") && message.contains("does not exist")) {
    return filled_in(
        "run as a superuser: create database DATABASE; then as its owner: ha-signer migrate up; or correct URL",
        attempt);
  }
  if (message.contains("role \"") && message.contains("does not exist")) {
    return filled_in(
        "run as a superuser: create role ROLE login password 'NEW'; then as the owner of the tables: ha-signer "
        "migrate up --grant ROLE; or correct the role in URL",
        attempt);
  }
  const auto known = std::ranges::find_if(kRefusals, [&](const Refusal& one) { return message.contains(one.words); });
  return known == kRefusals.end() ? std::string() : filled_in(known->mend, attempt);
}

}  // namespace hasigner::cli::doctor
