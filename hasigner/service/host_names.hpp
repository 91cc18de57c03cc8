#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/service/listen_address.hpp"

namespace hasigner::service {

/// The names by which clients reach the service. Loopback addresses and `localhost` are always among them.
class HostNames {
 public:
  HostNames() = default;
  /// The addresses on which the service listens, and other names.
  HostNames(const std::vector<ListenAddress>& addresses, const std::vector<std::string>& others);

  /// `host`: what the header `Host` says, with or without a port.
  [[nodiscard]] bool contains(std::string_view host) const;

 private:
  std::set<std::string, std::less<>> names_;  ///< in lower case, without brackets
};

/// Reads comma-separated names. Errors: InvalidInput naming `field`.
[[nodiscard]] Parsed<std::vector<std::string>> parse_host_names(std::string_view text, std::string_view field);

}  // namespace hasigner::service
