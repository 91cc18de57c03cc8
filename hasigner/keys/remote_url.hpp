#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::keys {

/// Where requests to a remote signer go, taken from its URL.
struct RemoteUrl {
  bool is_tls = false;
  std::string host;         ///< a name or an address, an IPv6 one without brackets
  std::string port;         ///< decimal digits; that of the scheme where the URL names none
  std::string host_header;  ///< as HTTP wants it: with brackets, and with a port that is not the scheme's
  std::string target;       ///< path and query; may hold a token
  /// Value of the header `Authorization` (Basic) for a URL with user and password; null: none.
  std::shared_ptr<const SecretText> authorization;
  std::vector<std::shared_ptr<const SecretText>> secrets;  ///< in the forms in which they may turn up

  /// The text, unless it holds a password, its encoded form, or the query: then only that it does. For what a server
  /// has answered, which may be anything that it was sent.
  [[nodiscard]] std::string without_secrets(std::string text) const;

  /// Reads an `http` or `https` URL.
  ///
  /// Errors: InvalidInput naming `field`; it shows nothing of the text, which may hold a password.
  /// Source: RFC 3986, RFC 7617.
  [[nodiscard]] static Parsed<RemoteUrl> parse(std::string_view text, std::string_view field);
};

}  // namespace hasigner::keys
