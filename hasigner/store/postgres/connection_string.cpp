#include "hasigner/store/postgres/connection_string.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <expected>
#include <memory>
#include <optional>
#include <span>

#include "hasigner/duty/utf8.hpp"

namespace hasigner::postgres {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kField = "database URL";
constexpr std::string_view kMask = "***";
constexpr std::chrono::milliseconds kConnectTimeout{5000};
constexpr int kLongestConnectTimeoutS = 3600;

/// The name by which the server, and `ha-signer doctor`, know the program and its version.
constexpr std::string_view kApplicationName = "ha-signer " HASIGNER_VERSION;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kDefaults{{
    {"keepalives", "1"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"},
    {"target_session_attrs", "read-write"},
    {"application_name", kApplicationName},
    {"client_encoding", "UTF8"},
}};

struct ConninfoFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct TextFree {
  void operator()(char* text) const { PQfreemem(text); }
};

bool is_secret(std::string_view key) {
  return key == "password" || key == "sslpassword";
}

bool is_url(std::string_view text) {
  return text.starts_with("postgresql://") || text.starts_with("postgres://");
}

/// The published package's driver reads a URL as browsers do. White space in the other form separates its parts.
std::string without_white_space(std::string_view text) {
  return is_url(trimmed(text)) ? url_without_white_space(text) : std::string(trimmed(text));
}

/// A password with a slash in it, written as it is, makes libpq take its beginning for a port and the rest for a path;
/// a user name with an at sign (`ann@corp`) makes it take the password for a port.
bool may_hold_an_unescaped_password(std::string_view text) {
  if (!is_url(text)) return false;
  const auto begin = text.find("://") + 3;
  const auto server = text.substr(begin, text.find_first_of("/?", begin) - begin);
  if (std::ranges::count(server, '@') > 1) return true;
  const auto path = text.find('/', begin);
  return path != std::string_view::npos && text.substr(path, text.find('?', path) - path).contains('@');
}

/// The options that the text sets, in libpq's order, or libpq's complaint.
std::expected<Pairs, std::string> options_of(const std::string& text) {
  if (may_hold_an_unescaped_password(text)) return std::unexpected(std::string("unescaped"));
  char* raw_complaint = nullptr;
  const std::unique_ptr<PQconninfoOption, ConninfoFree> options(PQconninfoParse(text.c_str(), &raw_complaint));
  const std::unique_ptr<char, TextFree> complaint(raw_complaint);
  if (!options) return std::unexpected(std::string(complaint ? complaint.get() : "out of memory"));
  Pairs pairs;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) pairs.emplace_back(option->keyword, option->val);
  }
  return pairs;
}

std::string take(Pairs& pairs, std::string_view key) {
  const auto found = std::ranges::find(pairs, key, &Pairs::value_type::first);
  if (found == pairs.end()) return {};
  std::string value = std::move(found->second);
  pairs.erase(found);
  return value;
}

const std::string* find(const Pairs& pairs, std::string_view key) {
  const auto found = std::ranges::find(pairs, key, &Pairs::value_type::first);
  return found == pairs.end() ? nullptr : &found->second;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  std::size_t begin = 0;
  while (true) {
    const auto comma = text.find(',', begin);
    parts.push_back(text.substr(begin, comma - begin));
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

/// Returns nullopt when the lists do not belong to each other.
std::optional<std::vector<ServerAddress>> servers_of(Pairs& pairs) {
  const auto hosts = split_list(take(pairs, "host"));
  const auto addresses = split_list(take(pairs, "hostaddr"));
  const auto ports = split_list(take(pairs, "port"));
  const std::size_t count = std::max({hosts.size(), addresses.size(), std::size_t{1}});
  const bool fits = (hosts.empty() || hosts.size() == count) && (addresses.empty() || addresses.size() == count) &&
                    (ports.size() <= 1 || ports.size() == count);
  if (!fits) return std::nullopt;
  std::vector<ServerAddress> servers(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!hosts.empty()) servers[i].host = hosts[i];
    if (!addresses.empty()) servers[i].host_address = addresses[i];
    if (!ports.empty()) servers[i].port = ports.size() == 1 ? ports[0] : ports[i];
  }
  return servers;
}

std::string escape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-_.~:/,";
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte < 0x80 && std::isalnum(byte) != 0) || kPlain.contains(c);
    if (plain) {
      escaped += c;
    } else {
      escaped += {'%', kDigits[byte >> 4], kDigits[byte & 0xf]};
    }
  }
  return escaped;
}

/// A socket's folder, or its abstract name.
bool is_socket(std::string_view host) {
  return host.starts_with('/') || host.starts_with('@');
}

/// A URL of the options, secrets masked.
std::string show(const Pairs& pairs) {
  Pairs rest = pairs;
  const std::string user = take(rest, "user");
  const std::string password = take(rest, "password");
  const std::string database = take(rest, "dbname");
  std::string url = "postgresql://" + escape(user);
  if (!password.empty()) url += ":" + std::string(kMask);
  if (!user.empty() || !password.empty()) url += "@";
  // One socket is shown as psql's users write it, `?host=/run/postgresql`.
  const std::string* const host = find(rest, "host");
  const bool is_one_socket = host && is_socket(*host) && !host->contains(',');
  const auto servers = is_one_socket ? std::nullopt : servers_of(rest);
  for (std::size_t i = 0; servers && i < servers->size(); ++i) {
    const auto& server = (*servers)[i];
    const std::string& name = server.host.empty() ? server.host_address : server.host;
    if (i > 0) url += ",";
    // A socket's folder stands in a URL with its slashes escaped; so it is not taken for the database's name.
    std::string shown = is_socket(name) ? "" : escape(name);
    for (const char c : is_socket(name) ? name : std::string()) shown += c == '/' ? "%2F" : std::string(1, c);
    url += name.contains(':') ? "[" + name + "]" : shown;
    if (!server.port.empty()) url += ":" + server.port;
  }
  if (!database.empty()) url += "/" + escape(database);
  char separator = '?';
  for (const auto& [key, value] : rest) {
    url += separator + key + "=" + (is_secret(key) ? std::string(kMask) : escape(value));
    separator = '&';
  }
  return printable(url, 500);
}

/// Masks what may be a password in a text that libpq does not understand. Rather too much than too little.
std::string mask_unparsed(std::string_view text) {
  std::string masked(text);
  const auto scheme_end = masked.find("://");
  const auto last_at = masked.rfind('@');
  if (last_at != std::string::npos) {
    const auto colon = masked.find(':', scheme_end == std::string::npos ? 0 : scheme_end + 3);
    if (colon < last_at) masked.replace(colon + 1, last_at - colon - 1, kMask);
  }
  std::size_t from = 0;
  while (true) {
    const auto key = masked.find("password", from);
    if (key == std::string::npos) break;
    const auto value = masked.find_first_not_of(" =\t", key + std::string_view("password").size());
    if (value == std::string::npos) break;
    // A quoted value may hold anything; all the rest of the text is taken for it.
    const auto end = masked[value] == '\'' ? std::string::npos : masked.find_first_of("& \t", value);
    masked.replace(value, end == std::string::npos ? end : end - value, kMask);
    from = value + kMask.size();
  }
  // A value of a parameter that is not known may be a secret.
  const auto query = masked.find('?');
  if (is_url(masked) && query != std::string::npos) masked.replace(query + 1, std::string::npos, "...");
  return printable(masked, 200);
}

std::unexpected<InvalidInput> refuse(std::string value, std::string allowed) {
  return std::unexpected(InvalidInput{std::string(kField), std::move(value), std::move(allowed)});
}

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

/// libpq finds a wrong value of these only when it connects, and then says less.
std::optional<std::string> complaint_about_values(const Pairs& pairs) {
  constexpr std::array<std::string_view, 6> kSslModes{"disable", "allow",     "prefer",
                                                      "require", "verify-ca", "verify-full"};
  constexpr std::array<std::string_view, 3> kSessions{"any", "read-write", "primary"};
  if (const auto* mode = find(pairs, "sslmode"); mode && !contains(kSslModes, *mode)) {
    return "one whose sslmode is disable, allow, prefer, require, verify-ca or verify-full, not " + printable(*mode) +
           (*mode == "no-verify" ? " (what node-postgres calls no-verify is require here)" : "");
  }
  if (const auto* attrs = find(pairs, "target_session_attrs"); attrs && !contains(kSessions, *attrs)) {
    return "one whose target_session_attrs is read-write, primary or any, not " + printable(*attrs) +
           ": a signer must write";
  }
  return std::nullopt;
}

/// Poolers of managed databases that keep no session for a connection, known by their addresses.
std::optional<std::string> complaint_about_pooler(const ServerAddress& server) {
  const std::string_view host = server.host;
  const std::string_view first = host.substr(0, host.find('.'));
  if (host.ends_with(".neon.tech") && first.ends_with("-pooler")) {
    return "one without Neon's pooler, which keeps no session for a connection: leave -pooler out of the host name";
  }
  if ((host.ends_with(".supabase.com") || host.ends_with(".supabase.co")) && server.port == "6543") {
    return "one without Supabase's pooler in transaction mode (port 6543), which keeps no session for a connection: "
           "use "
           "port 5432, where Supabase keeps it";
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> timeout_of(const std::string& text) {
  if (text.empty()) return kConnectTimeout;
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0 || seconds > kLongestConnectTimeoutS)
    return std::nullopt;
  return seconds == 0 ? kConnectTimeout : std::chrono::seconds(seconds);
}

/// A parameter that other drivers and tools know, and what takes its place.
struct ForeignParameter {
  std::string_view name;
  std::string_view instead;
};
constexpr std::array<ForeignParameter, 25> kForeignParameters{{
    {"schema", "write options=-csearch_path%3DSCHEMA, or set the role's search_path"},
    {"currentSchema", "write options=-csearch_path%3DSCHEMA, or set the role's search_path"},
    {"search_path", "write options=-csearch_path%3DSCHEMA, or set the role's search_path"},
    {"pgbouncer", "leave it out; a pooler between must keep a session for each connection (pool_mode=session)"},
    {"uselibpqcompat", "leave it out: sslmode means here what it means to libpq"},
    {"statement_timeout", "leave it out: each statement has the deadline of its attempt"},
    {"lock_timeout", "leave it out: each statement has the deadline of its attempt"},
    {"query_timeout", "leave it out: each statement has the deadline of its attempt"},
    {"socket_timeout", "leave it out: each statement has the deadline of its attempt"},
    {"socketTimeout", "leave it out: each statement has the deadline of its attempt"},
    {"idle_in_transaction_session_timeout", "leave it out: each session sets its own"},
    {"connection_limit", "leave it out and set the pool's maximum, pool_max (poolMaxCount in Node.js)"},
    {"max", "leave it out and set the pool's maximum, pool_max (poolMaxCount in Node.js)"},
    {"pool_max", "leave it out and set the pool's maximum, pool_max (poolMaxCount in Node.js)"},
    {"pool_timeout", "leave it out and set the pool's time-out, pool_connection_timeout_ms"},
    {"connectTimeout", "write connect_timeout, in seconds"},
    {"loginTimeout", "write connect_timeout, in seconds"},
    {"connectionTimeoutMillis", "write connect_timeout, in seconds"},
    {"ApplicationName", "write application_name"},
    {"encoding", "leave it out: the texts that are sent are UTF-8"},
    {"sslaccept", "write sslmode=verify-full, or sslmode=require for accept_invalid_certs"},
    {"sslidentity", "write sslcert and sslkey, with PEM files"},
    {"ssl", "write sslmode=require, or sslmode=disable"},
    {"prepareThreshold", "leave it out; a pooler between must keep a session for each connection"},
    {"statement_cache_size", "leave it out; a pooler between must keep a session for each connection"},
}};

bool is_known_to_libpq(std::string_view name) {
  const std::unique_ptr<PQconninfoOption, ConninfoFree> options(PQconndefaults());
  for (const auto* option = options.get(); option && option->keyword; ++option) {
    if (name == option->keyword) return true;
  }
  return false;
}

/// Whether the question mark of a URL begins its query, and is not part of a password that should have been escaped.
bool has_plain_authority(std::string_view url) {
  const auto begin = url.find("://") + 3;
  const auto authority = url.substr(begin, url.find_first_of("/?", begin) - begin);
  const auto after_user = authority.substr(authority.rfind('@') + 1);
  const auto port = after_user.substr(after_user.starts_with('[') ? after_user.find(']') + 1 : 0);
  const auto colon = port.rfind(':');
  return colon == port.npos || port.find_first_not_of("0123456789,", colon + 1) == port.npos;
}

/// What to do about the first parameter of the URL's query that libpq does not know. Its value is not shown.
std::optional<std::string> advice_about_query(std::string_view url) {
  const auto question = url.find('?');
  if (question == url.npos || !has_plain_authority(url)) return std::nullopt;
  for (auto rest = url.substr(question + 1); !rest.empty();) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const auto name = pair.substr(0, pair.find('='));
    const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    if (name.size() == pair.size() || name.empty() || !std::ranges::all_of(name, is_word)) return std::nullopt;
    // libpq reads JDBC's ssl=true.
    if (is_known_to_libpq(name) || pair == "ssl=true") continue;
    const auto foreign = std::ranges::find(kForeignParameters, name, &ForeignParameter::name);
    const auto instead =
        foreign == kForeignParameters.end() ? "leave it out, or see libpq's list of parameters" : foreign->instead;
    return "one without the parameter " + std::string(name) + ", which libpq does not know: " + std::string(instead);
  }
  return std::nullopt;
}

/// libpq's complaint may quote the text, so only its kind is told.
std::string allowed_instead_of(std::string_view text, const std::string& complaint) {
  std::string allowed = "a PostgreSQL URL (postgresql://user:password@host:5432/database)";
  if (!is_url(text)) return allowed;
  if (complaint.contains("URI query parameter")) {
    return advice_about_query(text).value_or(allowed + " whose query holds libpq's parameters only, such as sslmode");
  }
  if (complaint.contains("percent-encoded"))
    return allowed + " whose percent signs are each followed by two hexadecimal digits";
  return allowed + "; characters such as : / ? # @ % in its parts must be percent-encoded";
}

}  // namespace

Parsed<ConnectionString> ConnectionString::parse(std::string_view given) {
  const std::string whole = without_white_space(given);
  const std::string_view text(whole);
  const bool has_form = is_url(text) || (text.contains('=') && !text.contains("://"));
  if (!has_form || text.contains('\0')) return refuse(mask_unparsed(text), allowed_instead_of({}, {}));
  auto options = options_of(whole);
  if (!options) return refuse(mask_unparsed(text), allowed_instead_of(text, options.error()));
  const std::string shown = show(*options);
  if (auto complaint = complaint_about_values(*options)) return refuse(shown, *complaint);

  ConnectionString parsed;
  parsed.shown_ = shown;
  const auto timeout = timeout_of(take(*options, "connect_timeout"));
  if (!timeout) return refuse(shown, "one whose connect_timeout is a number of seconds from 0 to 3600");
  parsed.connect_timeout_ = *timeout;
  auto servers = servers_of(*options);
  if (!servers) return refuse(shown, "one with as many ports and addresses as hosts, or with one port for all");
  for (const auto& server : *servers) {
    if (!server.port.empty() && !is_port(server.port)) {
      return refuse(mask_unparsed(text),
                    allowed_instead_of(is_url(text) ? text : "", {}) + "; a port is a number from 1 to 65535");
    }
    if (auto complaint = complaint_about_pooler(server)) return refuse(shown, *complaint);
  }
  parsed.servers_ = std::move(*servers);

  // The statements and the rows are UTF-8 whatever the string says.
  take(*options, "client_encoding");
  parsed.parameters_ = std::move(*options);
  for (const auto& [key, value] : kDefaults) {
    if (!find(parsed.parameters_, key)) parsed.parameters_.emplace_back(key, value);
  }
  for (const auto& [key, value] : parsed.parameters_) {
    // A password that equals a name which the server itself puts into its messages is not given away by that name.
    const bool is_name_too = std::ranges::any_of(
        parsed.parameters_, [&](const auto& other) { return !is_secret(other.first) && other.second.contains(value); });
    if (is_secret(key) && !value.empty() && !is_name_too) parsed.secrets_.push_back(value);
  }
  return parsed;
}

ConnectionString ConnectionString::for_any_server() const {
  ConnectionString any = *this;
  for (auto& [keyword, value] : any.parameters_) {
    if (keyword == "target_session_attrs") value = "any";
  }
  return any;
}

std::string ConnectionString::parameter(std::string_view keyword) const {
  const std::string* const value = find(parameters_, keyword);
  return value ? *value : "";
}

std::string ConnectionString::scrub(std::string text) const {
  for (const auto& secret : secrets_) {
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + kMask.size())) {
      text.replace(at, secret.size(), kMask);
    }
  }
  return text;
}

std::string mask_password(std::string_view given) {
  const std::string whole = without_white_space(given);
  const std::string_view text(whole);
  const bool has_form = is_url(text) || text.contains('=');
  if (!has_form || text.contains('\0')) return mask_unparsed(text);
  const auto options = options_of(whole);
  return options ? show(*options) : mask_unparsed(text);
}

}  // namespace hasigner::postgres
