#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/keys/remote_url.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is Asio's.
namespace boost::asio::ssl {
class context;
}  // namespace boost::asio::ssl

namespace hasigner::keys {

using HttpDeadline = std::chrono::steady_clock::time_point;

/// The server to ask.
struct HttpEndpoint {
  RemoteUrl url;
  std::shared_ptr<boost::asio::ssl::context> tls;  ///< null for `http://`
};

struct HttpRequest {
  std::optional<std::string> json;   ///< to post; nullopt: a GET
  std::size_t max_answer_bytes = 0;  ///< of the answer's body
};

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// Why a request got no answer.
struct HttpFailure {
  std::string reason;                  ///< the predicate of a sentence whose subject is the server; without secrets
  bool closed_without_answer = false;  ///< the server closed before the first byte of an answer
};

template <class T>
using HttpResult = std::expected<T, HttpFailure>;

/// A connection to a server, for one request at a time.
///
/// Thread safety: the executor on which it was opened. An exchange must end before the next begins and before the
/// connection is destroyed.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;

  /// Sends the request and reads the answer. After a failure, or when can_be_reused() returns false, the connection can
  /// not be used any more.
  [[nodiscard]] virtual asio::awaitable<HttpResult<HttpAnswer>> exchange(std::shared_ptr<const HttpRequest> request,
                                                                         HttpDeadline deadline) = 0;
  /// Whether the server keeps the connection open after the last answer, and has sent nothing since.
  [[nodiscard]] virtual bool can_be_reused() = 0;
};

/// Opens a connection: name lookup, TCP, and TLS with the certificate and its host name checked.
[[nodiscard]] asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> open_http_connection(
    std::shared_ptr<const HttpEndpoint> endpoint, HttpDeadline deadline);

}  // namespace hasigner::keys
