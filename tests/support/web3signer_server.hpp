#pragma once

#include <sys/types.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace hasigner::test {

/// A remote signer of a test's own: the process of web3signer_server.py, which tells how it behaves.
///
/// Errors: std::runtime_error.
class Web3SignerServer {
 public:
  explicit Web3SignerServer(const std::vector<std::string>& addresses);
  ~Web3SignerServer();
  Web3SignerServer(const Web3SignerServer&) = delete;
  Web3SignerServer& operator=(const Web3SignerServer&) = delete;

  /// `http`; with TLS `server`, `expired`, `other-host`, `unknown`, `mutual`; and `silent`.
  [[nodiscard]] int port(const std::string& name) const { return ports_.at(name); }
  /// `http://127.0.0.1:PORT/PATH`
  [[nodiscard]] std::string url(const std::string& path = "") const;
  /// The same with TLS, by the name `localhost`.
  [[nodiscard]] std::string tls_url(const std::string& name, const std::string& path = "") const;
  /// Of a certificate or key: `ca.crt`, `client.pem` and so on.
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] const std::string& client_password() const { return client_password_; }

  /// What it has seen so far: `connections`, `POST /path`, `method eth_sign` and so on.
  [[nodiscard]] std::map<std::string, int> counts();

 private:
  [[nodiscard]] std::string read_line();

  std::filesystem::path folder_;
  pid_t process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  std::map<std::string, int> ports_;
  std::string client_password_;
};

}  // namespace hasigner::test
