#pragma once

#include <filesystem>
#include <memory>
#include <optional>

namespace hasigner::service {

/// The files that TLS is spoken with, all PEM.
struct TlsFiles {
  std::filesystem::path certificate;  ///< the server's, followed by those between it and the authority
  std::filesystem::path key;
  std::optional<std::filesystem::path> client_authority;  ///< whose certificates clients may show
};

/// Certificate and key of a server, read once; a reload makes another one.
///
/// TLS 1.2 and 1.3. With a client authority a client may show a certificate, and one that is expired or comes from
/// elsewhere ends the handshake; without one it shows none, and must then identify itself otherwise.
/// Thread safety: any thread.
class TlsContext {
 public:
  /// Errors: throws std::runtime_error naming the file and what is wrong: it cannot be read, the key is open to others
  /// or belongs to another certificate, the certificate has expired.
  explicit TlsContext(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// An SSL_CTX, for whoever speaks TLS with it.
  [[nodiscard]] void* native() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hasigner::service
