#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

#include "hasigner/protection/clock.hpp"

namespace hasigner::keys {

/// How all remote signers are reached.
struct Web3SignerSettings {
  /// PEM file of the authorities that a remote signer's certificate must come from; nullopt: those of the system.
  std::optional<std::filesystem::path> ca_file;
  /// Bound on getting a connection: name lookup, connecting and the TLS handshake.
  milliseconds connect_timeout{5'000};
  /// Bound on a whole call: waiting for a connection, getting one, and the answer.
  milliseconds call_timeout{10'000};
  /// How long an unused connection is kept.
  milliseconds idle_timeout{30'000};
  /// Connections to one remote signer. Further calls wait for one of them.
  std::size_t max_connections = 16;
  /// Calls that may wait for a connection to one remote signer. A further call is refused when all that wait and those
  /// of its own client are as many together: a client alone may have half of the places.
  std::size_t max_waiting = 20'000;
};

}  // namespace hasigner::keys
