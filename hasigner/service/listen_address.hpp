#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner::service {

struct TcpAddress {
  std::string host;        ///< an IP address; names are not looked up
  std::uint16_t port = 0;  ///< 0: any free port
  friend bool operator==(const TcpAddress&, const TcpAddress&) = default;
};
struct UnixAddress {
  std::string path;
  friend bool operator==(const UnixAddress&, const UnixAddress&) = default;
};

/// Where a service listens: `127.0.0.1:9000`, `[::1]:9000`, `unix:/run/ha-signer.sock`.
using ListenAddress = std::variant<TcpAddress, UnixAddress>;

/// Reads comma-separated addresses. Errors: InvalidInput naming `field`.
[[nodiscard]] Parsed<std::vector<ListenAddress>> parse_listen_addresses(std::string_view text, std::string_view field);

/// Whether only this machine can reach the address.
[[nodiscard]] bool is_local(const ListenAddress& address);

[[nodiscard]] std::string to_string(const ListenAddress& address);

}  // namespace hasigner::service
