#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "hasigner/async/background.hpp"
#include "hasigner/service/connection_room.hpp"
#include "hasigner/service/connection_turns.hpp"
#include "hasigner/service/handshake_thread.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/shared_limit.hpp"

namespace hasigner::service {

class TlsContext;

/// A connection of a client, with or without TLS.
class ClientConnection : public RoomedConnection {
 public:
  using RoomedConnection::RoomedConnection;
  /// Ends the connection after the request that it is serving, or now when there is none.
  void finish() {
    finishing = true;
    if (events) events->end();
    if (idle) close();
  }

  bool finishing = false;
  std::shared_ptr<EventStream> events;  ///< while one is being sent
  std::optional<ClientCertificate> certificate;
};

/// What the connections of one server share.
struct ClientConnections {
  ClientConnections(asio::any_io_executor executor_in, HttpLimits limits_in, std::shared_ptr<HttpHandler> handler_in,
                    ReportFailure report_in)
      : executor(std::move(executor_in)),
        limits(limits_in),
        handler(std::move(handler_in)),
        report(std::move(report_in)) {}

  asio::any_io_executor executor;
  const std::shared_ptr<ConnectionTurns> turns = std::make_shared<ConnectionTurns>(executor);
  HttpLimits limits;
  std::shared_ptr<HttpHandler> handler;
  ReportFailure report;
  std::list<std::weak_ptr<ClientConnection>> list;
  std::size_t open = 0;
  std::size_t requests_in_flight = 0;  ///< from the first byte of a request to the end of its answer
  std::uint64_t bytes_handled = 0;     ///< of bodies and answers, since the start
  SharedLimit requests{limits.requests_in_flight};
  SharedLimit body_bytes{limits.all_body_bytes};
  std::set<std::string> beyond_body_bytes;  ///< clients with a request whose body goes on beyond their share
  SharedLimit answer_bytes{limits.all_answer_bytes};
  std::shared_ptr<HandshakeThread> handshakes;  ///< null until a listener speaks TLS

  /// The connections that are open, kept alive by the result.
  [[nodiscard]] std::vector<std::shared_ptr<ClientConnection>> present() const;
};

/// A connection that a listener has accepted.
struct NewConnection {
  asio::generic::stream_protocol::socket socket;  ///< its executor is that of the membership
  std::shared_ptr<ConnectionTurns::Membership> membership;
  std::string peer;                       ///< see peer_of()
  std::shared_ptr<const TlsContext> tls;  ///< null: plain HTTP
  std::shared_ptr<ConnectionRoom> room;
  std::function<std::shared_ptr<const TlsContext>()> current_tls = {};  ///< that of new connections; empty: plain HTTP
};

/// The other side of a connection, without its port: `192.0.2.1`; of IPv6 the network of 64 bits, `2001:db8::/64`;
/// `loopback`; of a Unix socket the user, `uid:1000`. `remote`: as the listener accepted it; the other side may be gone
/// since.
[[nodiscard]] std::string peer_of(asio::generic::stream_protocol::socket& socket,
                                  const asio::generic::stream_protocol::endpoint& remote);

/// Serves the requests of a client until either side ends the connection.
void start_connection(std::shared_ptr<ClientConnections> connections, NewConnection accepted);

}  // namespace hasigner::service
