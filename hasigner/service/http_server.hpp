#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/listener.hpp"

namespace hasigner::service {

class TlsContext;
struct ServerState;

/// Speaks HTTP/1.1 on listening sockets and asks a handler for the answers.
///
/// Every request is bounded in size and time. A request that two readers could read differently is refused: more than
/// one length, a length and chunks, another transfer coding than chunks. After an error the connection is closed.
/// Thread safety: one executor, which must run on one thread.
class HttpServer {
 public:
  HttpServer(asio::any_io_executor executor, HttpLimits limits, std::shared_ptr<HttpHandler> handler);
  /// Closes everything.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Accepts connections from now on. `tls` is asked at each connection; where it is empty, none is spoken.
  void listen(Listener listener, std::function<std::shared_ptr<const TlsContext>()> tls);

  /// Accepts nothing more, ends idle connections and streams of events, lets requests in flight finish for as long as
  /// `grace`, then closes what is left.
  [[nodiscard]] asio::awaitable<void> drain(std::chrono::milliseconds grace);

  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::size_t requests_in_flight() const;
  [[nodiscard]] std::uint64_t connections_refused() const;

 private:
  std::shared_ptr<ServerState> state_;
};

}  // namespace hasigner::service
