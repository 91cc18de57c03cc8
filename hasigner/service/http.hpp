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

/// What a browser sends for a session of the console.
struct SessionCredential {
  std::string id;   ///< of a cookie
  std::string key;  ///< of a header, which only the page itself can send
};

/// A request without its body.
struct RequestHead {
  std::string id;             ///< in the log and in the answer
  std::string method;         ///< `GET`
  std::string path;           ///< without the query, a token, and the authority of a target in absolute form
  std::string query;          ///< what follows the `?`
  std::string authorization;  ///< the header, or `Bearer ` and the token of the path
  std::string content_type;
  std::string host;             ///< the authority of the target, or the header `Host`
  bool is_for_proxy = false;    ///< its target names the same host as `Host`: clients send such targets to a proxy only
  bool has_origin = false;      ///< a browser sent it on behalf of a page
  bool has_own_origin = false;  ///< that page came from the host that the request is for
  bool is_cross_site = false;   ///< a browser says that a page of another site asks for it
  bool is_http_1_0 = false;
  bool is_tls = false;
  std::optional<SessionCredential> session;
  std::optional<ClientCertificate> certificate;
  bool lost_authority = false;  ///< a reload has taken away an authority that the certificate may have come from
  std::string peer;             ///< the other side of the connection, see peer_of()
};

/// What the answer to a request may take of the bytes that the answers of all clients share.
class AnswerLimit {
 public:
  AnswerLimit() = default;
  virtual ~AnswerLimit() = default;
  AnswerLimit(const AnswerLimit&) = delete;
  AnswerLimit& operator=(const AnswerLimit&) = delete;
  /// Reserves about so many bytes, before work whose result must not be lost. Then the answer is sent whatever its size
  /// is; without a reservation a large one may be refused. Returns false when the client may not have them.
  [[nodiscard]] virtual bool reserve(std::size_t bytes) = 0;
};

/// The detail of the problem 429 where the answers that wait take all that is shared.
inline constexpr std::string_view kAnswersWait =
    "the answers that the client has not read yet take as much memory as they may; read them, then ask again";

/// Whether the request came over a Unix socket.
[[nodiscard]] inline bool is_on_unix_socket(const RequestHead& head) {
  return head.peer.starts_with("uid:");
}

struct HttpRequest {
  RequestHead head;
  std::string body;
  std::string client;                         ///< whose shares of the limits it takes
  std::shared_ptr<AnswerLimit> answer_limit;  ///< null: no limit
  /// Whether the client has closed the connection, or its side of it.
  std::function<bool()> client_has_gone;
  /// The certificate of the connection, as far as its authority is trusted at that moment.
  std::function<std::optional<ClientCertificate>()> certificate_now;
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
  std::vector<std::string> more;  ///< what follows the body, where the text is large
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<EventStream> events;  ///< instead of a body

  // For the log and the figures; never sent.
  std::string route;   ///< path of the route; empty when no route matched
  std::string client;  ///< name of the client; empty when unknown
  std::string note;    ///< the outcome, without secrets
};

/// In bytes.
[[nodiscard]] inline std::size_t size_of(const HttpResponse& response) {
  std::size_t size = response.body.size();
  for (const auto& text : response.more) size += text.size();
  return size;
}

/// Port of the server: gives the answers.
///
/// Thread safety: the executor of the server.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// The client that sends the request; where every caller is served, its address. Returns nullopt for an unknown one.
  [[nodiscard]] virtual std::optional<std::string> client_name(const RequestHead& head) const = 0;
  /// Called before the body is read. Returns the answer when the request is refused; then the body is never read.
  [[nodiscard]] virtual std::optional<HttpResponse> refuse(const RequestHead& head) = 0;
  [[nodiscard]] virtual asio::awaitable<HttpResponse> respond(HttpRequest request) = 0;
  /// The answer to a request that the server itself does not accept.
  [[nodiscard]] virtual HttpResponse failure(const RequestHead& head, unsigned status, const std::string& detail) = 0;
  /// Called when an answer has been made, right before it is sent.
  virtual void answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) = 0;
};

}  // namespace hasigner::service
