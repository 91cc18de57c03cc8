#pragma once

#include <memory>

#include "hasigner/keys/http_connection.hpp"
#include "hasigner/keys/web3signer_settings.hpp"

namespace hasigner::keys {

/// Posts JSON to one server, over a bounded number of connections that are used again.
///
/// A request is repeated in one case only: it went out on a connection that had served before, and the server closed
/// that one before the first byte of an answer. Servers close idle connections at will, so this is nearly always a
/// good-bye that crossed the request, which was never read. Should it have been read after all, the server signs the
/// very same digest for the very same duty a second time, which is harmless. Nothing else is repeated: not after a
/// time-out, a half answer, or an error, where the server may be at work still.
/// Thread safety: any thread, and any executor.
class HttpClient : public std::enable_shared_from_this<HttpClient> {
 public:
  /// `network` is where its sockets and timers live.
  HttpClient(HttpEndpoint endpoint, Web3SignerSettings settings, const asio::any_io_executor& network);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  [[nodiscard]] const RemoteUrl& url() const { return endpoint_->url; }

  /// Takes at most `call_timeout`, whatever the server and the network do.
  [[nodiscard]] asio::awaitable<HttpResult<HttpAnswer>> post(std::string body, std::size_t max_answer_bytes);

 private:
  class Pool;
  class Lease;
  class QueueEntry;
  struct Call;

  static asio::awaitable<HttpResult<HttpAnswer>> run(std::shared_ptr<HttpClient> self, Call call);
  static asio::awaitable<HttpResult<Lease>> get_connection(std::shared_ptr<HttpClient> self, HttpDeadline deadline);
  [[nodiscard]] asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> connect(HttpDeadline deadline) const;

  std::shared_ptr<const HttpEndpoint> endpoint_;
  Web3SignerSettings settings_;
  asio::any_io_executor strand_;
  std::shared_ptr<Pool> pool_;
};

}  // namespace hasigner::keys
