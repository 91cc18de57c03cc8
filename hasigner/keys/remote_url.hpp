#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::keys {

/// The parts of a remote signer's URL that requests need.
struct RemoteUrl {
  bool is_tls = false;
  std::string host;         ///< a name or an address, an IPv6 one without brackets
  std::string port;         ///< decimal digits; the default of the scheme when the URL has none
  std::string host_header;  ///< for HTTP: with brackets, and with a port that is not the default of the scheme
  std::string target;       ///< path and query; may hold a token
  /// Value of the header `Authorization` (Basic) for a URL with user and password; null when there is none.
  std::shared_ptr<const SecretText> authorization;
  std::vector<std::shared_ptr<const SecretText>> secrets;  ///< in all forms that an answer may repeat

  /// The text; or, when it contains a password, its encoded form or the query, a note instead. For answers of a server,
  /// which may repeat what the server was sent.
  [[nodiscard]] std::string without_secrets(std::string text) const;

  /// Reads an `http` or `https` URL.
  ///
  /// Errors: InvalidInput naming `field`. It does not show the text, which may hold a password.
  /// Source: RFC 3986, RFC 7617.
  [[nodiscard]] static Parsed<RemoteUrl> parse(std::string_view text, std::string_view field);
};

}  // namespace hasigner::keys
