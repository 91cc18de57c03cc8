#pragma once

#include <chrono>
#include <cstddef>

namespace hasigner::service {

/// The limits of the HTTP server.
struct HttpLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 8 * 1024 * 1024;
  std::size_t all_body_bytes = 256 * 1024 * 1024;  ///< of all requests in flight together
  std::size_t connections = 1'024;
  std::size_t requests_in_flight = 10'000;          ///< includes requests whose bodies are being read
  std::chrono::milliseconds header_timeout{5'000};  ///< from the first byte to the end of the header
  std::chrono::milliseconds body_timeout{10'000};   ///< of reading the body
  std::chrono::milliseconds idle_timeout{60'000};   ///< between requests
  std::chrono::milliseconds write_timeout{10'000};  ///< of sending one answer, or one event
};

}  // namespace hasigner::service
