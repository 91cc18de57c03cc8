#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/service/http.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is OpenSSL's.
struct ssl_st;

namespace hasigner::service {

/// The files for TLS, all PEM.
struct TlsFiles {
  std::filesystem::path certificate;  ///< of the server, followed by intermediate certificates
  std::filesystem::path key;
  std::optional<std::filesystem::path> client_authority;  ///< authorities of client certificates
};

/// Certificate and key of a server, read once. A reload makes another context.
///
/// TLS 1.2 and 1.3. With a client authority a client may show a certificate; a certificate that is expired or from
/// another authority ends the handshake. A client without certificate must identify itself with a token. Thread safety:
/// any thread.
class TlsContext {
 public:
  /// Errors: throws std::runtime_error naming the file and what is wrong: it cannot be read, the key is open to others
  /// or belongs to another certificate, the certificate has expired.
  explicit TlsContext(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// The SSL_CTX, for TLS sessions.
  [[nodiscard]] void* native() const;
  /// Whether it trusts every authority of client certificates that the other one trusts.
  [[nodiscard]] bool has_authorities_of(const TlsContext& other) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// When a certificate is valid.
struct CertificatePeriod {
  std::chrono::sys_seconds begins;
  std::chrono::sys_seconds ends;
};
/// Of the first certificate of a PEM file. Errors: throws std::runtime_error naming the file and what is wrong.
[[nodiscard]] CertificatePeriod certificate_period(const std::filesystem::path& file);

/// The certificate that the client of a TLS session has shown. Returns nullopt when it has shown none, or none that was
/// verified.
[[nodiscard]] std::optional<ClientCertificate> verified_certificate(ssl_st* session);

}  // namespace hasigner::service
