#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hasigner/async/asio.hpp"

namespace hasigner::service {

/// The identity in a client certificate that the server has verified.
struct ClientCertificate {
  std::string common_name;
  std::string fingerprint;  ///< SHA-256 of its DER form, 64 lower-case hex digits
};

/// A request without its body.
struct RequestHead {
  std::string id;             ///< in the log and in the answer
  std::string method;         ///< `GET`
  std::string path;           ///< without the query, a token, and the authority of a target in absolute form
  std::string query;          ///< what follows the `?`
  std::string authorization;  ///< the header, or `Bearer ` and the token of the path
  std::string content_type;
  bool has_origin = false;  ///< a browser sent it on behalf of a page
  bool is_http_1_0 = false;
  std::optional<ClientCertificate> certificate;
};

struct HttpRequest {
  RequestHead head;
  std::string body;
  /// Whether the client has closed the connection, or its side of it.
  std::function<bool()> client_has_gone;
};

/// A text that arrives in pieces until either side ends it.
class EventStream {
 public:
  virtual ~EventStream() = default;
  /// Waits for the next piece. Returns nullopt when the stream has ended.
  [[nodiscard]] virtual asio::awaitable<std::optional<std::string>> next() = 0;
  /// Makes next() return nullopt, also a call that waits already.
  virtual void end() = 0;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<EventStream> events;  ///< instead of a body

  // For the log and the figures; never sent.
  std::string route;   ///< path of the route; empty when no route matched
  std::string client;  ///< name of the client; empty when unknown
  std::string note;    ///< the outcome, without secrets
};

/// Port of the server: gives the answers.
///
/// Thread safety: the executor of the server.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Called before the body is read. Returns the answer when the request is refused; then the body is never read.
  [[nodiscard]] virtual std::optional<HttpResponse> refuse(const RequestHead& head) = 0;
  [[nodiscard]] virtual asio::awaitable<HttpResponse> respond(HttpRequest request) = 0;
  /// The answer to a request that the server itself does not accept.
  [[nodiscard]] virtual HttpResponse failure(const RequestHead& head, unsigned status, const std::string& detail) = 0;
  /// Called when an answer has been made, right before it is sent.
  virtual void answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) = 0;
};

}  // namespace hasigner::service
