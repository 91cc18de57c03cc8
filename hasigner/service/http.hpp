#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hasigner/async/asio.hpp"

namespace hasigner::service {

/// What the certificate of a client says who it is; the server has verified it.
struct ClientCertificate {
  std::string common_name;
  std::string fingerprint;  ///< SHA-256 of its DER form, 64 lower-case hex digits
};

/// Everything of a request but its body.
struct RequestHead {
  std::string id;      ///< in every line of the log and in the answer
  std::string method;  ///< `GET`
  std::string path;    ///< without the query, as it was sent
  std::string query;   ///< what follows the `?`
  std::string authorization;
  std::string content_type;
  bool has_origin = false;  ///< a browser sent it on behalf of a page
  std::optional<ClientCertificate> certificate;
};

struct HttpRequest {
  RequestHead head;
  std::string body;
};

/// A text that arrives piece by piece, as long as its reader stays.
class EventStream {
 public:
  virtual ~EventStream() = default;
  /// The next piece, ready to be sent; nothing: the stream has ended.
  [[nodiscard]] virtual asio::awaitable<std::optional<std::string>> next() = 0;
  /// Makes next() return nothing, also one that waits.
  virtual void end() = 0;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<EventStream> events;  ///< instead of a body

  // For the log and the figures; never sent.
  std::string route;   ///< the pattern that the path matched; empty: none
  std::string client;  ///< who asked; empty: nobody known
  std::string note;    ///< what became of it, without secrets
};

/// Port of the server: what is to be answered.
///
/// Thread safety: the executor of the server.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Asked before the body is read: the answer to a request that gets no further. The body is then never read.
  [[nodiscard]] virtual std::optional<HttpResponse> refuse(const RequestHead& head) = 0;
  [[nodiscard]] virtual asio::awaitable<HttpResponse> respond(HttpRequest request) = 0;
  /// The answer to what the server itself could not accept.
  [[nodiscard]] virtual HttpResponse failure(const RequestHead& head, unsigned status, const std::string& detail) = 0;
  /// Called when an answer has been made, right before it is sent.
  virtual void answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) = 0;
};

}  // namespace hasigner::service
