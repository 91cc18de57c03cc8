#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"

namespace hasigner::service {

class TlsContext;

/// A connection of a client, with or without TLS.
class ClientConnection {
 public:
  virtual ~ClientConnection() = default;
  /// Ends the connection now.
  virtual void close() = 0;
  /// Ends the connection after the request that it is serving, or now when there is none.
  void finish() {
    finishing = true;
    if (events) events->end();
    if (idle) close();
  }

  bool idle = true;  ///< waits for the first byte of a request
  bool finishing = false;
  std::shared_ptr<EventStream> events;  ///< while one is being sent
  std::optional<ClientCertificate> certificate;
};

/// What the connections of one server share.
struct ClientConnections {
  asio::any_io_executor executor;
  HttpLimits limits;
  std::shared_ptr<HttpHandler> handler;
  std::list<std::weak_ptr<ClientConnection>> list = {};
  std::size_t open = 0;
  std::size_t requests_in_flight = 0;  ///< from the first byte of a request to the end of its answer
  std::size_t body_bytes = 0;          ///< taken by requests in flight

  /// The connections that are open, kept alive by the result.
  [[nodiscard]] std::vector<std::shared_ptr<ClientConnection>> present() const;
};

/// Serves the requests of a client until either side ends the connection. Without `tls` the connection is plain HTTP.
void start_connection(std::shared_ptr<ClientConnections> connections, asio::generic::stream_protocol::socket socket,
                      std::shared_ptr<const TlsContext> tls);

}  // namespace hasigner::service
