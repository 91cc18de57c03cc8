#include "hasigner/service/http_server.hpp"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <list>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/service/request_id.hpp"
#include "hasigner/service/tls_context.hpp"

namespace hasigner::service {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;
using PlainStream = beast::basic_stream<Generic>;
using TlsStream = beast::ssl_stream<PlainStream>;
using Acceptor = asio::basic_socket_acceptor<Generic>;
using Parser = http::request_parser<http::string_body>;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAcceptPause{100};
/// What a client may still send after the answer to a request that was not read to its end, and for how long.
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr std::chrono::milliseconds kLingerTime{1'000};
constexpr std::size_t kReadPiece = 16 * 1024;
constexpr std::chrono::milliseconds kSecondDeadline{500};
/// What a connection may hold, beside a header, of bytes that mean nothing yet. It bounds what belongs to no body: the
/// extensions of chunks and trailers, for which Beast has no limit.
constexpr std::size_t kUnreadBytes = 64 * 1024;

/// A connection as the server sees it, whatever it speaks.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Ends it now.
  virtual void close() = 0;
  /// Lets it end after the request that it is at; one that is at none ends now.
  void finish() {
    finishing = true;
    if (events) events->end();
    if (idle) close();
  }

  bool idle = true;  ///< no byte of a request has come
  bool finishing = false;
  std::shared_ptr<EventStream> events;  ///< while one is being sent
  std::optional<ClientCertificate> certificate;
};

}  // namespace

struct ServerState : std::enable_shared_from_this<ServerState> {
  ServerState(asio::any_io_executor executor_in, HttpLimits limits_in, std::shared_ptr<HttpHandler> handler_in)
      : executor(std::move(executor_in)), limits(limits_in), handler(std::move(handler_in)) {}

  void close_listeners() {
    for (auto& acceptor : acceptors) {
      error_code ignored;
      acceptor->close(ignored);
    }
    acceptors.clear();
    listeners.clear();
  }

  asio::any_io_executor executor;
  HttpLimits limits;
  std::shared_ptr<HttpHandler> handler;
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  std::vector<Listener> listeners;  ///< for the files of Unix sockets
  std::list<std::weak_ptr<Connection>> connections;
  std::size_t open = 0;
  std::size_t in_flight = 0;
  std::size_t body_bytes = 0;  ///< taken by requests in flight
  std::uint64_t refused = 0;
  bool draining = false;
};

namespace {

using State = ServerState;

/// Counts a request from its first byte to its answer.
class InFlight {
 public:
  explicit InFlight(std::shared_ptr<State> state) : state_(std::move(state)) { ++state_->in_flight; }
  ~InFlight() { --state_->in_flight; }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  std::shared_ptr<State> state_;
};

/// Room for one body; a body whose size nobody knows takes as much as it may have.
class BodyShare {
 public:
  explicit BodyShare(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~BodyShare() { state_->body_bytes -= bytes_; }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  /// False: others have it all.
  [[nodiscard]] bool take(const Parser& parser) {
    if (parser.is_done()) return true;
    const auto& limits = state_->limits;
    const auto declared = parser.content_length();
    const std::size_t wanted = declared ? std::min<std::size_t>(*declared, limits.body_bytes) : limits.body_bytes;
    // One alone always gets through.
    if (state_->body_bytes > 0 && state_->body_bytes + wanted > limits.all_body_bytes) return false;
    bytes_ = wanted;
    state_->body_bytes += bytes_;
    return true;
  }

 private:
  std::shared_ptr<State> state_;
  std::size_t bytes_ = 0;
};

PlainStream& lowest(PlainStream& stream) {
  return stream;
}
PlainStream& lowest(TlsStream& stream) {
  return stream.next_layer();
}

template <class Stream>
class ConnectionOf final : public Connection {
 public:
  template <class... Arguments>
  explicit ConnectionOf(std::shared_ptr<State> state_in, std::shared_ptr<const TlsContext> tls_in,
                        Arguments&&... arguments)
      : state(std::move(state_in)),
        tls(std::move(tls_in)),
        stream(std::forward<Arguments>(arguments)...),
        buffer(state->limits.header_bytes + kUnreadBytes) {
    ++state->open;
  }
  ~ConnectionOf() override {
    --state->open;
    state->connections.erase(place);
  }
  ConnectionOf(const ConnectionOf&) = delete;
  ConnectionOf& operator=(const ConnectionOf&) = delete;

  void close() override { lowest(stream).close(); }

  std::shared_ptr<State> state;
  std::shared_ptr<const TlsContext> tls;
  Stream stream;
  beast::flat_buffer buffer;
  std::list<std::weak_ptr<Connection>>::iterator place;
};

template <class Stream>
using ConnectionPtr = std::shared_ptr<ConnectionOf<Stream>>;

/// Why a request goes no further.
struct Fault {
  unsigned status = 0;  ///< 0: there is nobody to answer
  std::string detail;
};

Fault fault_of(const error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, "the header of a request may have " + std::to_string(limits.header_bytes) + " bytes"};
  }
  if (error == http::error::body_limit) {
    return {413, "the body of a request may have " + std::to_string(limits.body_bytes) + " bytes"};
  }
  if (error == beast::error::timeout) return {408, "the request did not come to its end in time"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return {400, "this is no HTTP/1.1 request: " + error.message()};
  }
  return {};
}

bool is_decimal(beast::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// What Beast lets pass but another reader on the way here could take for something else.
std::optional<Fault> ambiguous(const http::request_header<>& header) {
  if (header.version() != 11 && header.version() != 10) return Fault{505, "the service speaks HTTP/1.1"};
  const auto lengths = header.count(http::field::content_length);
  if (lengths > 1) return Fault{400, "the request has more than one Content-Length"};
  if (lengths == 1 && !is_decimal(header[http::field::content_length])) {
    return Fault{400, "Content-Length must be one decimal number"};
  }
  const auto codings = header.count(http::field::transfer_encoding);
  if (codings > 0 && lengths > 0) return Fault{400, "the request has both Content-Length and Transfer-Encoding"};
  if (codings > 1) return Fault{400, "the request has more than one Transfer-Encoding"};
  if (codings == 1 && !beast::iequals(header[http::field::transfer_encoding], "chunked")) {
    return Fault{501, "the service knows no other Transfer-Encoding than chunked"};
  }
  if (codings == 1 && header.version() == 10) return Fault{400, "HTTP/1.0 has no Transfer-Encoding"};
  if (header.version() == 11 && header.count(http::field::host) != 1) {
    return Fault{400, "the request must have one Host"};
  }
  if (header.count(http::field::authorization) > 1) return Fault{400, "the request has more than one Authorization"};
  return std::nullopt;
}

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

/// Beast's own limit counts pieces: a header that comes in one may be larger.
std::optional<Fault> oversized(const http::request_header<>& header, const HttpLimits& limits) {
  std::size_t bytes = header.method_string().size() + header.target().size();
  for (const auto& field : header) bytes += field.name_string().size() + field.value().size() + 4;
  if (bytes <= limits.header_bytes) return std::nullopt;
  return fault_of(http::error::header_limit, limits);
}

RequestHead head_of(const http::request_header<>& header, const Connection& connection) {
  RequestHead head;
  head.id = request_id(text_of(header["X-Request-Id"]));
  head.method = text_of(header.method_string());
  const auto target = header.target();
  const auto question = target.find('?');
  head.path = text_of(target.substr(0, question));
  if (question != beast::string_view::npos) head.query = text_of(target.substr(question + 1));
  head.authorization = text_of(header[http::field::authorization]);
  head.content_type = text_of(header[http::field::content_type]);
  head.has_origin = header.count(http::field::origin) > 0;
  head.certificate = connection.certificate;
  return head;
}

http::response<http::string_body> message_of(HttpResponse response, const RequestHead& head, bool keep_alive) {
  http::response<http::string_body> message{http::int_to_status(response.status), 11};
  if (!response.body.empty() || response.events) message.set(http::field::content_type, response.content_type);
  message.set("X-Request-Id", head.id);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.body() = std::move(response.body);
  message.keep_alive(keep_alive);
  if (!response.events) message.prepare_payload();
  return message;
}

/// False: the client is gone.
template <class Stream>
asio::awaitable<bool> send(ConnectionPtr<Stream> connection, HttpResponse response, RequestHead head, bool keep_alive) {
  const bool is_head = head.method == "HEAD";
  auto message = message_of(std::move(response), head, keep_alive);
  http::response_serializer<http::string_body> serializer{message};
  serializer.split(is_head);
  lowest(connection->stream).expires_after(connection->state->limits.write_timeout);
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  if (is_head) {
    auto writing = http::async_write_header(connection->stream, serializer, token);
    co_await std::move(writing);
  } else {
    auto writing = http::async_write(connection->stream, serializer, token);
    co_await std::move(writing);
  }
  co_return !error;
}

/// Sends pieces until the stream ends or the client is gone.
template <class Stream>
asio::awaitable<void> send_events(ConnectionPtr<Stream> connection, std::shared_ptr<EventStream> events) {
  connection->events = events;
  if (connection->finishing) events->end();
  for (;;) {
    auto waiting = events->next();
    auto piece = co_await std::move(waiting);
    if (!piece) break;
    lowest(connection->stream).expires_after(connection->state->limits.write_timeout);
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto bytes = asio::buffer(*piece);
    auto writing = asio::async_write(connection->stream, bytes, token);
    co_await std::move(writing);
    if (error) break;
  }
  events->end();
  connection->events.reset();
}

asio::awaitable<void> say_goodbye(ConnectionPtr<PlainStream>) {
  co_return;
}

/// So that the client knows that nothing was cut off.
asio::awaitable<void> say_goodbye(ConnectionPtr<TlsStream> connection) {
  lowest(connection->stream).expires_after(kLingerTime);
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  auto saying = connection->stream.async_shutdown(token);
  co_await std::move(saying);
}

/// Closes in such a way that an answer that was just sent arrives: what the client still sends is read for a while.
template <class Stream>
asio::awaitable<void> linger(ConnectionPtr<Stream> connection) {
  auto goodbye = say_goodbye(connection);
  co_await std::move(goodbye);
  auto& stream = lowest(connection->stream);
  error_code error;
  stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  stream.expires_after(kLingerTime);
  std::size_t read = 0;
  while (!error && read < kLingerBytes) {
    connection->buffer.clear();
    auto space = connection->buffer.prepare(kReadPiece);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto reading = stream.async_read_some(space, token);
    read += co_await std::move(reading);
  }
}

/// Waits for the first byte of a request. False: none will come.
template <class Stream>
asio::awaitable<bool> wait_for_request(ConnectionPtr<Stream> connection) {
  if (connection->buffer.size() > 0) co_return true;
  if (connection->finishing) co_return false;
  connection->idle = true;
  lowest(connection->stream).expires_after(connection->state->limits.idle_timeout);
  error_code error;
  auto space = connection->buffer.prepare(kReadPiece);
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto reading = connection->stream.async_read_some(space, token);
  const auto size = co_await std::move(reading);
  connection->buffer.commit(size);
  connection->idle = false;
  co_return !error && size > 0;
}

/// Bounds reading in such a way that an answer can still be sent: a stream that expires by itself is closed.
class ReadDeadline {
 public:
  template <class Stream>
  ReadDeadline(const ConnectionPtr<Stream>& connection, std::chrono::milliseconds limit)
      : timer_(connection->state->executor, limit), expired_(std::make_shared<bool>(false)) {
    timer_.async_wait([connection, expired = expired_](const error_code& error) {
      if (error) return;
      *expired = true;
      error_code ignored;
      lowest(connection->stream).socket().cancel(ignored);
    });
    // For a read that has just ended when the time is up, and goes on with another one.
    lowest(connection->stream).expires_after(limit + kSecondDeadline);
  }
  [[nodiscard]] bool expired() const { return *expired_; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<bool> expired_;
};

template <class Stream>
asio::awaitable<std::optional<Fault>> read_head(ConnectionPtr<Stream> connection, std::shared_ptr<Parser> parser) {
  const auto& limits = connection->state->limits;
  const ReadDeadline deadline(connection, limits.header_timeout);
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto reading = http::async_read_header(connection->stream, connection->buffer, *parser, token);
  co_await std::move(reading);
  if (error && deadline.expired()) error = beast::error::timeout;
  if (error) co_return fault_of(error, limits);
  if (auto too_large = oversized(parser->get().base(), limits)) co_return too_large;
  co_return ambiguous(parser->get().base());
}

template <class Stream>
asio::awaitable<std::optional<Fault>> read_body(ConnectionPtr<Stream> connection, std::shared_ptr<Parser> parser) {
  const auto& limits = connection->state->limits;
  if (parser->is_done()) co_return std::nullopt;
  const ReadDeadline deadline(connection, limits.body_timeout);
  error_code error;
  if (beast::iequals(parser->get()[http::field::expect], "100-continue")) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    http::response<http::empty_body> go_on{http::status::continue_, 11};
    http::response_serializer<http::empty_body> serializer{go_on};
    auto writing = http::async_write(connection->stream, serializer, token);
    co_await std::move(writing);
    if (error) co_return fault_of(error, limits);
  }
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto reading = http::async_read(connection->stream, connection->buffer, *parser, token);
  co_await std::move(reading);
  if (error && deadline.expired()) error = beast::error::timeout;
  if (error) co_return fault_of(error, limits);
  co_return std::nullopt;
}

/// What comes after a request.
enum class Next : std::uint8_t { kNextRequest, kClose, kLinger };

template <class Stream>
asio::awaitable<Next> answer(ConnectionPtr<Stream> connection, RequestHead head, HttpResponse response,
                             steady_clock::time_point began, bool keep_alive) {
  auto& handler = *connection->state->handler;
  handler.answered(head, response, steady_clock::now() - began);
  auto events = response.events;
  keep_alive = keep_alive && !events && !connection->finishing;
  auto sending = send(connection, std::move(response), std::move(head), keep_alive);
  const bool sent = co_await std::move(sending);
  if (!sent) co_return Next::kClose;
  if (events) {
    auto streaming = send_events(connection, std::move(events));
    co_await std::move(streaming);
    co_return Next::kLinger;
  }
  co_return keep_alive ? Next::kNextRequest : Next::kLinger;
}

/// Answers what the server itself does not accept.
template <class Stream>
asio::awaitable<Next> answer_fault(ConnectionPtr<Stream> connection, RequestHead head, Fault fault,
                                   steady_clock::time_point began) {
  if (fault.status == 0) co_return Next::kClose;
  if (head.id.empty()) head.id = request_id("");
  auto response = connection->state->handler->failure(head, fault.status, fault.detail);
  auto answering = answer(connection, std::move(head), std::move(response), began, false);
  const auto next = co_await std::move(answering);
  co_return next;
}

template <class Stream>
asio::awaitable<Next> serve_request(ConnectionPtr<Stream> connection) {
  const auto state = connection->state;
  const auto began = steady_clock::now();
  const InFlight in_flight(state);
  BodyShare share(state);
  const auto parser = std::make_shared<Parser>();
  parser->header_limit(static_cast<std::uint32_t>(state->limits.header_bytes));
  parser->body_limit(state->limits.body_bytes);
  auto reading_head = read_head(connection, parser);
  auto fault = co_await std::move(reading_head);
  RequestHead head;
  if (parser->is_header_done()) head = head_of(parser->get().base(), *connection);
  if (!fault && state->in_flight > state->limits.requests_in_flight) {
    fault = Fault{429, "the service is at work on as many requests as it may; ask again"};
  }
  if (!fault) {
    if (auto refusal = state->handler->refuse(head)) {
      auto refusing =
          answer(connection, std::move(head), std::move(*refusal), began, parser->is_done() && parser->keep_alive());
      const auto next = co_await std::move(refusing);
      co_return next;
    }
    fault = Fault{429, "the service holds as much data of requests as it may; ask again"};
    if (share.take(*parser)) {
      auto reading_body = read_body(connection, parser);
      fault = co_await std::move(reading_body);
    }
  }
  if (fault) {
    auto answering = answer_fault(connection, std::move(head), std::move(*fault), began);
    const auto next = co_await std::move(answering);
    co_return next;
  }
  const bool keep_alive = parser->keep_alive();
  lowest(connection->stream).expires_never();
  HttpRequest request{head, std::move(parser->get().body())};
  auto responding = state->handler->respond(std::move(request));
  auto response = co_await std::move(responding);
  auto answering = answer(connection, std::move(head), std::move(response), began, keep_alive);
  const auto next = co_await std::move(answering);
  co_return next;
}

template <class Stream>
asio::awaitable<void> serve_requests(ConnectionPtr<Stream> connection) {
  for (;;) {
    auto waiting = wait_for_request(connection);
    const bool came = co_await std::move(waiting);
    if (!came) break;
    auto serving = serve_request(connection);
    const auto next = co_await std::move(serving);
    if (next == Next::kNextRequest) continue;
    if (next == Next::kLinger) {
      auto lingering = linger(connection);
      co_await std::move(lingering);
    }
    break;
  }
  connection->close();
}

asio::awaitable<void> serve(ConnectionPtr<PlainStream> connection) {
  auto serving = serve_requests(connection);
  co_await std::move(serving);
}

std::optional<ClientCertificate> certificate_of(SSL* session) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(session), &X509_free);
  if (!certificate || SSL_get_verify_result(session) != X509_V_OK) return std::nullopt;
  ClientCertificate client;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) return std::nullopt;
  client.fingerprint = to_hex(std::span(digest).first(size));
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // Two common names would leave open which one counts.
  if (place < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, place) >= 0) return client;
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
  if (length >= 0) client.common_name.assign(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return client;
}

asio::awaitable<void> serve(ConnectionPtr<TlsStream> connection) {
  lowest(connection->stream).expires_after(connection->state->limits.header_timeout);
  connection->idle = false;
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto shaking = connection->stream.async_handshake(asio::ssl::stream_base::server, token);
  co_await std::move(shaking);
  if (error) co_return connection->close();
  connection->certificate = certificate_of(connection->stream.native_handle());
  auto serving = serve_requests(connection);
  co_await std::move(serving);
}

/// A context of the connection's own round the one that all share.
asio::ssl::context context_of(const TlsContext& tls) {
  auto* const native = static_cast<SSL_CTX*>(tls.native());
  SSL_CTX_up_ref(native);
  return asio::ssl::context(native);
}

template <class Stream>
void launch(ConnectionPtr<Stream> connection) {
  auto& state = *connection->state;
  connection->place = state.connections.insert(state.connections.end(), connection);
  asio::co_spawn(state.executor, serve(connection), asio::detached);
}

void start_connection(std::shared_ptr<State> state, Generic::socket socket, std::shared_ptr<const TlsContext> tls) {
  if (socket.local_endpoint().protocol().family() != AF_UNIX) {
    error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  }
  if (!tls) return launch(std::make_shared<ConnectionOf<PlainStream>>(std::move(state), nullptr, std::move(socket)));
  auto context = context_of(*tls);
  launch(std::make_shared<ConnectionOf<TlsStream>>(std::move(state), std::move(tls), std::move(socket), context));
}

/// Says so in as few bytes as the socket takes at once, and nothing to one that speaks TLS.
void turn_away(Generic::socket socket, bool speaks_tls) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  if (!speaks_tls) {
    static_cast<void>(::send(socket.native_handle(), kAnswer.data(), kAnswer.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
}

asio::awaitable<void> accept_connections(std::shared_ptr<State> state, std::shared_ptr<Acceptor> acceptor,
                                         std::function<std::shared_ptr<const TlsContext>()> tls) {
  asio::steady_timer pause(state->executor);
  while (!state->draining) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto accepting = acceptor->async_accept(token);
    auto socket = co_await std::move(accepting);
    if (state->draining || error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      // Mostly that there are no descriptors left; some will be given back.
      pause.expires_after(kAcceptPause);
      auto wait_token = asio::redirect_error(asio::use_awaitable, error);
      auto waiting = pause.async_wait(wait_token);
      co_await std::move(waiting);
      continue;
    }
    const auto context = tls ? tls() : nullptr;
    if (state->open >= state->limits.connections) {
      ++state->refused;
      turn_away(std::move(socket), context != nullptr);
      continue;
    }
    start_connection(state, std::move(socket), context);
  }
}

/// Every connection that is still there, held while it is used.
std::vector<std::shared_ptr<Connection>> present(const State& state) {
  std::vector<std::shared_ptr<Connection>> connections;
  for (const auto& entry : state.connections) {
    if (auto connection = entry.lock()) connections.push_back(std::move(connection));
  }
  return connections;
}

asio::awaitable<void> wait_until_empty(std::shared_ptr<State> state, steady_clock::time_point until) {
  asio::steady_timer timer(state->executor);
  while (state->open > 0 && steady_clock::now() < until) {
    timer.expires_after(std::chrono::milliseconds(2));
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    auto waiting = timer.async_wait(token);
    co_await std::move(waiting);
  }
}

asio::awaitable<void> drain_all(std::shared_ptr<State> state, std::chrono::milliseconds grace) {
  state->draining = true;
  state->close_listeners();
  for (const auto& connection : present(*state)) connection->finish();
  auto waiting = wait_until_empty(state, steady_clock::now() + grace);
  co_await std::move(waiting);
  for (const auto& connection : present(*state)) connection->close();
  auto closing = wait_until_empty(state, steady_clock::now() + kLingerTime);
  co_await std::move(closing);
}

}  // namespace

HttpServer::HttpServer(asio::any_io_executor executor, HttpLimits limits, std::shared_ptr<HttpHandler> handler)
    : state_(std::make_shared<ServerState>(std::move(executor), limits, std::move(handler))) {}

HttpServer::~HttpServer() {
  state_->draining = true;
  state_->close_listeners();
  for (const auto& connection : present(*state_)) connection->close();
}

void HttpServer::listen(Listener listener, std::function<std::shared_ptr<const TlsContext>()> tls) {
  const bool is_tcp = std::holds_alternative<TcpAddress>(listener.address());
  const int family = is_tcp && !std::get<TcpAddress>(listener.address()).host.contains(':') ? AF_INET
                     : is_tcp                                                               ? AF_INET6
                                                                                            : AF_UNIX;
  auto acceptor = std::make_shared<Acceptor>(state_->executor);
  acceptor->assign(Generic(family, is_tcp ? IPPROTO_TCP : 0), listener.release());
  state_->acceptors.push_back(acceptor);
  state_->listeners.push_back(std::move(listener));
  asio::co_spawn(state_->executor, accept_connections(state_, acceptor, std::move(tls)), asio::detached);
}

asio::awaitable<void> HttpServer::drain(std::chrono::milliseconds grace) {
  return drain_all(state_, grace);
}

std::size_t HttpServer::connections() const {
  return state_->open;
}

std::size_t HttpServer::requests_in_flight() const {
  return state_->in_flight;
}

std::uint64_t HttpServer::connections_refused() const {
  return state_->refused;
}

}  // namespace hasigner::service
