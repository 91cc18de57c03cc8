#include "hasigner/keys/remote_url.hpp"

#include <openssl/evp.h>

#include <algorithm>

// Compiles Boost.URL here: its library is not part of the packages that are installed anyway.
#include <boost/url/src.hpp>

namespace hasigner::keys {

namespace {

namespace urls = boost::urls;

std::unexpected<InvalidInput> refuse(std::string_view field, std::string_view text) {
  return std::unexpected(InvalidInput{std::string(field),
                                      "a text of " + std::to_string(text.size()) + " characters (not shown)",
                                      "a URL: http:// or https://, a host in ASCII, a port up to 65535 if there is "
                                      "one, and no spaces"});
}

/// `Basic` and the base64 of user and password.
std::shared_ptr<const SecretText> basic_authorization(const urls::url_view& url) {
  SecretText plain;
  plain.append(url.user());
  plain.push_back(':');
  plain.append(url.password());
  SecretBytes encoded(4 * ((plain.size() + 2) / 3) + 1);
  const auto length = EVP_EncodeBlock(encoded.data(), reinterpret_cast<const unsigned char*>(plain.view().data()),
                                      static_cast<int>(plain.size()));
  SecretText header("Basic ");
  header.append({reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)});
  return std::make_shared<const SecretText>(std::move(header));
}

bool is_port(std::string_view digits) {
  return !digits.empty() && digits.size() <= 5 && std::stoul(std::string(digits)) <= 65'535;
}

bool has_control_characters(std::string_view text) {
  return text.find_first_of(std::string_view("\0\r\n", 3)) != std::string_view::npos;
}

/// A shorter secret would be found in any text.
constexpr std::size_t kShortestSecret = 4;

void add_secret(std::string_view text, std::vector<std::shared_ptr<const SecretText>>& secrets) {
  if (text.size() >= kShortestSecret) secrets.push_back(std::make_shared<const SecretText>(text));
}

}  // namespace

std::string RemoteUrl::without_secrets(std::string text) const {
  const auto is_in_text = [&](const auto& secret) { return text.contains(secret->view()); };
  return std::ranges::any_of(secrets, is_in_text) ? "(not shown, since it holds a secret of the URL)" : text;
}

Parsed<RemoteUrl> RemoteUrl::parse(std::string_view text, std::string_view field) {
  const auto parsed = urls::parse_uri(text);
  if (!parsed) return refuse(field, text);
  const urls::url_view& url = *parsed;
  const bool is_tls = url.scheme_id() == urls::scheme::https;
  if (!is_tls && url.scheme_id() != urls::scheme::http) return refuse(field, text);
  if (!url.has_authority() || url.encoded_host().empty()) return refuse(field, text);
  if (url.has_port() && !url.port().empty() && !is_port(url.port())) return refuse(field, text);
  // Boost 1.81 takes the letters of a wrong port for a path.
  if (!url.encoded_path().empty() && !url.encoded_path().starts_with('/')) return refuse(field, text);

  RemoteUrl remote{.is_tls = is_tls};
  remote.host = url.host_type() == urls::host_type::name ? url.host_name() : url.host_address();
  const std::string default_port = is_tls ? "443" : "80";
  remote.port = url.port().empty() ? default_port : std::string(url.port());
  remote.host_header = url.encoded_host();
  if (remote.port != default_port) remote.host_header += ":" + remote.port;
  remote.target = url.encoded_path().empty() ? "/" : std::string(url.encoded_path());
  if (url.has_query()) remote.target += "?" + std::string(url.encoded_query());
  if (has_control_characters(remote.host)) return refuse(field, text);
  if (url.has_userinfo()) {
    remote.authorization = basic_authorization(url);
    add_secret(remote.authorization->view().substr(std::string_view("Basic ").size()), remote.secrets);
    add_secret(url.encoded_password(), remote.secrets);
    add_secret(url.password(), remote.secrets);
  }
  add_secret(url.encoded_query(), remote.secrets);
  return remote;
}

}  // namespace hasigner::keys
