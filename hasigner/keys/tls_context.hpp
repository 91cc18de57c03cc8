#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "hasigner/keys/keystore_document.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is Asio's.
namespace boost::asio::ssl {
class context;
}  // namespace boost::asio::ssl

namespace hasigner::keys {

/// What TLS connections to a remote signer have in common: whom they trust, and the client's certificate.
///
/// TLS 1.2 or later. A server's certificate must come from an authority of `ca_file`, or without one of the system's.
/// The client's is a PEM file of certificate, chain and key, or a PKCS#12 file; either may need the password.
/// Errors: InvalidInput naming `field` and the file that cannot be used; none shows a secret.
[[nodiscard]] Parsed<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(
    const RemoteSigner& remote, const std::optional<std::filesystem::path>& ca_file, std::string_view field);

}  // namespace hasigner::keys
