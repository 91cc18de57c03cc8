#pragma once

#include <memory>

#include "hasigner/keys/http_connection.hpp"
#include "hasigner/keys/web3signer_settings.hpp"

namespace hasigner::keys {

/// Posts JSON to one server, over a bounded number of connections that are reused.
///
/// A request is repeated in one case only: it went out on a connection that had served before, and the server closed
/// that connection before the first byte of an answer. Servers close idle connections at any time, so the server has
/// nearly always closed it before it read the request. If it did read the request, it signs the same digest for the
/// same duty again, which is harmless. A request is not repeated after a time-out, a partial answer or an error, since
/// the server may still be working on it. Thread safety: any thread, and any executor.
class HttpClient : public std::enable_shared_from_this<HttpClient> {
 public:
  /// Sockets and timers use `network`.
  HttpClient(HttpEndpoint endpoint, Web3SignerSettings settings, const asio::any_io_executor& network);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  [[nodiscard]] const RemoteUrl& url() const { return endpoint_->url; }

  /// Takes at most `call_timeout`. Callers who wait for a connection take turns, and one caller alone may have half as
  /// many calls waiting as all together.
  [[nodiscard]] asio::awaitable<HttpResult<HttpAnswer>> post(std::string caller, std::string body,
                                                             std::size_t max_answer_bytes);

 private:
  class Pool;
  class Lease;
  class QueueEntry;
  struct Call;

  static asio::awaitable<HttpResult<HttpAnswer>> run(std::shared_ptr<HttpClient> self, Call call);
  static asio::awaitable<HttpResult<Lease>> get_connection(std::shared_ptr<HttpClient> self, std::string caller,
                                                           HttpDeadline deadline);
  [[nodiscard]] asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> connect(HttpDeadline deadline) const;

  std::shared_ptr<const HttpEndpoint> endpoint_;
  Web3SignerSettings settings_;
  asio::any_io_executor strand_;
  std::shared_ptr<Pool> pool_;
};

}  // namespace hasigner::keys
