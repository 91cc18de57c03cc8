#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "hasigner/service/listen_address.hpp"

namespace hasigner::service {

/// Asks the service that listens at the address for `/healthz`, as a supervisor of this machine does.
///
/// Blocks. An address for all interfaces is asked on the loopback interface. With TLS no certificate is checked:
/// nothing secret is sent, and the answer says no more than that a process answers. Errors: the predicate of a sentence
/// whose subject is the service.
[[nodiscard]] std::expected<void, std::string> ask_health(const ListenAddress& address, bool tls,
                                                          std::chrono::milliseconds timeout);

}  // namespace hasigner::service
