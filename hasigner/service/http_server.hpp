#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "hasigner/async/background.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/listener.hpp"

namespace hasigner::service {

class TlsContext;

/// The TLS context for the next connection; may be replaced while the server runs.
using CurrentTls = std::function<std::shared_ptr<const TlsContext>()>;

/// Speaks HTTP/1.1 on listening sockets and asks a handler for the answers.
///
/// Every request is bounded in size and time. The server refuses a request that two readers could read differently:
/// more than one length, a length and chunks, another transfer coding than chunks. It closes the connection after an
/// error.
/// Thread safety: one executor, which must run on one thread.
class HttpServer {
 public:
  HttpServer(asio::any_io_executor executor, HttpLimits limits, std::shared_ptr<HttpHandler> handler,
             ReportFailure report);
  /// Closes everything. The threads of the executor must have ended.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Accepts connections from now on. `tls` is called for each connection; when it is empty, connections are plain
  /// HTTP.
  void listen(Listener listener, CurrentTls tls);

  /// Stops accepting, ends idle connections and streams of events, lets requests in flight finish within `grace`, then
  /// closes the remaining connections.
  [[nodiscard]] asio::awaitable<void> drain(std::chrono::milliseconds grace);

  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::size_t requests_in_flight() const;
  [[nodiscard]] std::uint64_t connections_refused() const;
  /// Of bodies and answers, since the start.
  [[nodiscard]] std::uint64_t bytes_handled() const;
  /// Of bodies and answers that are in memory, without small ones.
  [[nodiscard]] std::size_t bytes_held() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::service
