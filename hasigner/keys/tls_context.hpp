#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "hasigner/keys/http_connection.hpp"
#include "hasigner/keys/keystore_document.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is Asio's.
namespace boost::asio::ssl {
class context;
}  // namespace boost::asio::ssl

namespace hasigner::keys {

/// What TLS connections to a remote signer have in common: the trusted authorities, and the client certificate.
///
/// TLS 1.2 or later. The certificate of a server must come from an authority of `ca_file`; without `ca_file`, from an
/// authority of the system. The client certificate is a PEM file of certificate, chain and key, or a PKCS#12 file;
/// either may need the password. Errors: InvalidInput naming `field` and the file that cannot be used. The error does
/// not show a secret.
[[nodiscard]] Parsed<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(
    const RemoteSigner& remote, const std::optional<std::filesystem::path>& ca_file, std::string_view field);

/// The server of a URL: the URL read, and for `https` with its TLS context.
///
/// Errors: InvalidInput as those of RemoteUrl::parse() and make_tls_context().
[[nodiscard]] Parsed<HttpEndpoint> http_endpoint_of(const RemoteSigner& remote,
                                                    const std::optional<std::filesystem::path>& ca_file,
                                                    std::string_view field);

}  // namespace hasigner::keys
