#pragma once

#include <chrono>
#include <cstddef>

namespace hasigner::service {

/// The limits of the HTTP server; docs/security.md lists them. Shared ones: see SharedLimit.
struct HttpLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 8 * 1024 * 1024;
  std::size_t all_body_bytes = 256 * 1024 * 1024;       ///< that have arrived, of all requests; shared
  std::size_t answer_bytes = 8 * 1024 * 1024;           ///< of one answer; what follows them is short
  std::size_t all_answer_bytes = 128 * 1024 * 1024;     ///< of all answers that are not sent yet; shared
  std::size_t uncounted_bytes = 16 * 1024;              ///< of each body and answer, so that small ones are not refused
  std::size_t connections = 2'048;                      ///< of one listening socket
  std::size_t connections_of_a_peer = 1'536;            ///< of one address, on one listening socket
  std::size_t requests_in_flight = 10'000;              ///< with the header read; shared
  std::size_t event_streams = 32;                       ///< shared
  std::size_t event_bytes = 2 * 1024 * 1024;            ///< that wait for one stream of events
  std::chrono::milliseconds handshake_timeout{3'000};   ///< of TLS, from the connection on
  std::chrono::milliseconds first_byte_timeout{3'000};  ///< of a new connection, after the handshake
  std::chrono::milliseconds header_timeout{5'000};      ///< from the first byte to the end of the header
  std::chrono::milliseconds body_timeout{10'000};       ///< of reading the body
  std::chrono::milliseconds idle_timeout{60'000};       ///< between requests
  std::chrono::milliseconds write_timeout{10'000};      ///< of sending one answer, or one event
  std::chrono::milliseconds stall_timeout{2'000};       ///< of sending 64 KiB of an answer
};

}  // namespace hasigner::service
