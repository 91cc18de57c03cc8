#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "hasigner/service/listen_address.hpp"

namespace hasigner::service {

// For programs of the machine that a service runs on. They block. An address for all interfaces is asked on the
// loopback interface. Errors: the predicate of a sentence whose subject is the service.

/// Asks for `/healthz`, as a supervisor does.
///
/// With TLS no certificate is checked: nothing secret is sent, and the answer says no more than that a process answers.
[[nodiscard]] std::expected<void, std::string> ask_health(const ListenAddress& address, bool tls,
                                                          std::chrono::milliseconds timeout);

/// What an operator asks a service for.
struct OperatorRequest {
  std::string_view method;
  std::string_view path;
  std::string_view token;  ///< a secret
  std::string body = {};   ///< JSON; empty: none
  /// With TLS: the file with the certificate that the service must show, since the token is sent to no other server.
  std::optional<std::filesystem::path> certificate = {};
  std::chrono::milliseconds timeout{30'000};
};

struct ServiceAnswer {
  unsigned status = 0;
  std::string body;
};

[[nodiscard]] std::expected<ServiceAnswer, std::string> ask_service(const ListenAddress& address,
                                                                    const OperatorRequest& request);

}  // namespace hasigner::service
