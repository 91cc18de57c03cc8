#include "hasigner/service/client_connection.hpp"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <cstring>
#include <iterator>
#include <sstream>

#include "hasigner/service/http_request_rules.hpp"
#include "hasigner/service/request_id.hpp"
#include "hasigner/service/tls_context.hpp"
#include "hasigner/service/tls_transport.hpp"

namespace hasigner::service {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;
using PlainStream = beast::basic_stream<Generic>;
using Transport = TlsTransport<PlainStream>;
using TlsStream = beast::ssl_stream<Transport>;

/// A body that takes memory as it arrives. Beast's own takes at once what the header declares.
struct ArrivingBody {
  using value_type = std::string;
  static std::uint64_t size(const value_type& body) { return body.size(); }

  class reader {  // NOLINT(readability-identifier-naming): the names are Beast's
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      for (const auto buffer : beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
      }
      return beast::buffer_bytes(buffers);
    }
    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using Parser = http::request_parser<ArrivingBody>;
using std::chrono::steady_clock;

/// What a client may still send after the answer to a request that was not read to its end, and for how long.
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr std::chrono::milliseconds kLingerTime{1'000};
constexpr std::size_t kReadPiece = 16 * 1024;
constexpr std::size_t kFirstPiece = 4 * 1024;  ///< what an idle connection holds for the next request
constexpr std::size_t kWritePiece = 64 * 1024;
constexpr std::chrono::milliseconds kSecondDeadline{500};
constexpr std::chrono::milliseconds kGoneLook{1'000};
/// What a connection may hold beside a header and a body: the extensions of chunks and trailers, for which Beast has no
/// limit.
constexpr std::size_t kUnreadBytes = 64 * 1024;
constexpr std::size_t kMostBeyond = 8;  ///< bodies that go on beyond their clients' shares, of all clients

PlainStream& lowest(PlainStream& stream) {
  return stream;
}
PlainStream& lowest(TlsStream& stream) {
  return stream.next_layer().stream();
}

template <class Stream>
class ConnectionOf final : public ClientConnection {
 public:
  template <class... Arguments>
  explicit ConnectionOf(std::shared_ptr<ClientConnections> connections_in, NewConnection accepted,
                        Arguments&&... arguments)
      : ClientConnection(std::move(accepted.peer)),
        connections(std::move(connections_in)),
        membership(std::move(accepted.membership)),
        tls(std::move(accepted.tls)),
        current_tls(std::move(accepted.current_tls)),
        room(std::move(accepted.room)),
        stream(std::move(accepted.socket), std::forward<Arguments>(arguments)...),
        buffer(connections->limits.header_bytes + kUnreadBytes) {
    ++connections->open;
    room->enter(*this);
  }
  ~ConnectionOf() override {
    room->leave(*this);
    --connections->open;
    if (entry != connections->list.end()) connections->list.erase(entry);
  }

  void close() override { lowest(stream).close(); }

  std::shared_ptr<ClientConnections> connections;
  std::shared_ptr<ConnectionTurns::Membership> membership;
  std::shared_ptr<const TlsContext> tls;
  std::function<std::shared_ptr<const TlsContext>()> current_tls;
  std::shared_ptr<ConnectionRoom> room;
  Stream stream;
  beast::flat_buffer buffer;
  std::list<std::weak_ptr<ClientConnection>>::iterator entry = connections->list.end();
};

template <class Stream>
using ConnectionPtr = std::shared_ptr<ConnectionOf<Stream>>;

/// What a client has of a shared limit.
class Share {
 public:
  Share(SharedLimit& limit, const std::string& client, std::size_t uncounted)
      : limit_(limit), client_(client), uncounted_(uncounted) {}
  ~Share() { limit_.give_back(client_, taken_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  /// Takes what is missing to this amount. Returns false when the client may not have it.
  [[nodiscard]] bool take_up_to(std::size_t amount) {
    const auto more = missing_to(amount);
    if (!limit_.take(client_, more)) return false;
    taken_ += more;
    return true;
  }
  void take_anyway_up_to(std::size_t amount) {
    const auto more = missing_to(amount);
    limit_.take_anyway(client_, more);
    taken_ += more;
  }

 private:
  [[nodiscard]] std::size_t missing_to(std::size_t amount) const {
    const auto counted = amount - std::min(amount, uncounted_);
    return counted - std::min(counted, taken_);
  }

  SharedLimit& limit_;
  const std::string& client_;
  std::size_t uncounted_;
  std::size_t taken_ = 0;
};

/// A request from its first byte to the end of its answer, and what it takes of the limits that clients share.
struct IncomingRequest final : AnswerLimit {
  explicit IncomingRequest(std::shared_ptr<ClientConnections> connections_in) : connections(std::move(connections_in)) {
    ++connections->requests_in_flight;
    parser.header_limit(static_cast<std::uint32_t>(connections->limits.header_bytes));
    parser.body_limit(connections->limits.body_bytes);
  }
  ~IncomingRequest() override {
    --connections->requests_in_flight;
    if (is_beyond_) connections->beyond_body_bytes.erase(client);
  }

  /// Takes room for so many bytes of the body. Returns false when the client may not have them.
  ///
  /// One request of each client, and a few in all, may go on when there is no room left: bodies that come side by side
  /// would otherwise fill it with parts, and refuse one another before any of them is whole.
  [[nodiscard]] bool take_body(std::size_t bytes) {
    if (body_share_.take_up_to(bytes)) return true;
    auto& beyond = connections->beyond_body_bytes;
    if (!is_beyond_ && beyond.size() < kMostBeyond) is_beyond_ = beyond.insert(client).second;
    if (is_beyond_) body_share_.take_anyway_up_to(bytes);
    return is_beyond_;
  }

  [[nodiscard]] bool reserve(std::size_t bytes) override {
    has_reserved = answer_share.take_up_to(std::min(bytes, connections->limits.answer_bytes));
    return has_reserved;
  }

  const std::shared_ptr<ClientConnections> connections;
  const steady_clock::time_point began = steady_clock::now();
  Parser parser;
  RequestHead head;
  std::string client;  ///< whose shares it takes; does not change once it has taken any
  bool has_reserved = false;
  Share in_flight{connections->requests, client, 0};
  Share answer_share{connections->answer_bytes, client, connections->limits.uncounted_bytes};

 private:
  Share body_share_{connections->body_bytes, client, connections->limits.uncounted_bytes};
  bool is_beyond_ = false;
};

using IncomingRequestPtr = std::shared_ptr<IncomingRequest>;

/// Whether the buffer begins with an empty line, which some clients send after a body.
///
/// Source: RFC 9112, 2.2.
bool begins_with_empty_line(const beast::flat_buffer& buffer) {
  const auto* const bytes = static_cast<const char*>(buffer.data().data());
  return buffer.size() >= 2 && bytes[0] == '\r' && bytes[1] == '\n';
}

/// Waits for the first byte of a request. Returns false when none comes in time.
template <class Stream>
asio::awaitable<bool> wait_for_request(ConnectionPtr<Stream> connection, std::chrono::milliseconds limit) {
  auto& buffer = connection->buffer;
  lowest(connection->stream).expires_after(limit);
  for (bool may_skip = true;;) {
    if (may_skip && begins_with_empty_line(buffer)) {
      buffer.consume(2);
      may_skip = false;
    }
    if (buffer.size() > 0) co_return true;
    if (connection->finishing) co_return false;
    connection->idle = true;
    error_code error;
    auto space = buffer.prepare(kFirstPiece);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const auto size = co_await connection->stream.async_read_some(space, token);
    buffer.commit(size);
    connection->idle = false;
    if (error || size == 0) co_return false;
  }
}

/// Bounds reading and leaves the stream open, so that an answer can still be sent: Beast closes a stream that expires.
class ReadDeadline {
 public:
  template <class Stream>
  ReadDeadline(const ConnectionPtr<Stream>& connection, std::chrono::milliseconds limit)
      : timer_(connection->stream.get_executor(), limit), state_(std::make_shared<State>()) {
    timer_.async_wait([connection, state = state_](const error_code& error) {
      // The handler may have been on its way already when the reading ended.
      if (error || state->over) return;
      state->expired = true;
      error_code ignored;
      lowest(connection->stream).socket().cancel(ignored);
    });
    // For a read that ends at the very moment of the time-out and begins another one.
    lowest(connection->stream).expires_after(limit + kSecondDeadline);
  }
  ~ReadDeadline() { state_->over = true; }
  ReadDeadline(const ReadDeadline&) = delete;
  ReadDeadline& operator=(const ReadDeadline&) = delete;

  [[nodiscard]] bool expired() const { return state_->expired; }

 private:
  struct State {
    bool expired = false;
    bool over = false;
  };

  asio::steady_timer timer_;
  std::shared_ptr<State> state_;
};

/// Whether a certificate was verified, but a reload has taken an authority away since.
template <class Stream>
bool has_lost_authority(const ConnectionOf<Stream>& connection) {
  return connection.certificate && !connection.current_tls()->has_authorities_of(*connection.tls);
}

std::string too_many_connections(const HttpLimits& limits) {
  const auto most = [](std::size_t places) { return std::to_string(ConnectionRoom::most_of_client(places)); };
  return "the client has as many connections at work as it may: " + most(limits.connections_of_a_peer) +
         " from one address (three quarters of --max-connections-per-address), and " + most(limits.connections) +
         " in all (three quarters of --max-connections); ask again over one of them";
}

template <class Stream>
asio::awaitable<std::optional<RequestFault>> read_header(ConnectionPtr<Stream> connection,
                                                         IncomingRequestPtr incoming) {
  const auto& limits = connection->connections->limits;
  const ReadDeadline deadline(connection, limits.header_timeout);
  auto& parser = incoming->parser;
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await http::async_read_header(connection->stream, connection->buffer, parser, token);
  if (parser.is_header_done()) {
    incoming->head = head_of(parser.get().base());
    incoming->head.lost_authority = has_lost_authority(*connection);
    if (!incoming->head.lost_authority) incoming->head.certificate = connection->certificate;
    incoming->head.peer = connection->peer;
    incoming->head.is_tls = connection->tls != nullptr;
  }
  if (error && deadline.expired()) error = beast::error::timeout;
  if (error) co_return fault_of(error, limits);
  if (auto fault = refuse_header(parser.get().base(), limits)) co_return fault;
  const auto client = connection->connections->handler->client_name(incoming->head);
  // However many addresses they have, unknown clients share like one.
  incoming->client = client ? *client : "unknown";
  if (client && connection->client != *client) {
    if (!connection->room->becomes_known(*connection, *client)) {
      co_return RequestFault{429, too_many_connections(limits)};
    }
    connection->membership->join(*client);
  }
  if (!incoming->in_flight.take_up_to(1)) {
    co_return RequestFault{429, "the client has as many requests in flight as it may; ask again"};
  }
  co_return std::nullopt;
}

/// Tells a client that asked first that it may send the body.
template <class Stream>
asio::awaitable<error_code> send_continue(ConnectionPtr<Stream> connection) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  http::response<http::empty_body> message{http::status::continue_, 11};
  http::response_serializer<http::empty_body> serializer{message};
  co_await http::async_write(connection->stream, serializer, token);
  co_return error;
}

template <class Stream>
asio::awaitable<std::optional<RequestFault>> read_body(ConnectionPtr<Stream> connection, IncomingRequestPtr incoming) {
  const auto& limits = connection->connections->limits;
  auto& parser = incoming->parser;
  if (parser.is_done()) co_return std::nullopt;
  parser.eager(true);
  const ReadDeadline deadline(connection, limits.body_timeout);
  error_code error;
  // A client of HTTP/1.0 does not know the interim answer.
  const bool expects = beast::iequals(parser.get()[http::field::expect], "100-continue");
  if (expects && !incoming->head.is_http_1_0) error = co_await send_continue(connection);
  while (!error && !parser.is_done() && !deadline.expired()) {
    const auto before = parser.get().body().size();
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await http::async_read_some(connection->stream, connection->buffer, parser, token);
    connection->connections->bytes_handled += parser.get().body().size() - before;
    if (!incoming->take_body(parser.get().body().size())) {
      co_return RequestFault{429, "the bodies of the client's requests take as much memory as they may; ask again"};
    }
  }
  if (!parser.is_done() && deadline.expired()) error = beast::error::timeout;
  if (error) co_return fault_of(error, limits);
  co_return std::nullopt;
}

/// What comes after a request.
enum class Next : std::uint8_t { kNextRequest, kClose, kLinger };

using Message = http::response<http::empty_body>;

/// The header of an answer.
Message message_of(const HttpResponse& response, const RequestHead& head, Next next) {
  Message message{http::int_to_status(response.status), 11};
  const auto size = size_of(response);
  if (size > 0 || response.events) message.set(http::field::content_type, response.content_type);
  message.set("X-Request-Id", head.id);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(next == Next::kNextRequest);
  // To HTTP/1.0 it must be said.
  if (head.is_http_1_0 && next == Next::kNextRequest) message.set(http::field::connection, "keep-alive");
  if (!response.events && response.status != 204) message.content_length(size);
  return message;
}

std::string text_of(const Message& message) {
  std::ostringstream text;
  text << message.base();
  return std::move(text).str();
}

/// Sends a text in pieces; a client that does not take a piece in time is gone. Returns false when it is gone.
template <class Stream>
asio::awaitable<bool> send_text(ConnectionPtr<Stream> connection, steady_clock::time_point until, std::string text) {
  const auto& limits = connection->connections->limits;
  for (std::size_t sent = 0; sent < text.size(); sent += kWritePiece) {
    lowest(connection->stream).expires_at(std::min(until, steady_clock::now() + limits.stall_timeout));
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto piece = asio::buffer(text.data() + sent, std::min(kWritePiece, text.size() - sent));
    co_await asio::async_write(connection->stream, piece, token);
    if (error) co_return false;
  }
  co_return true;
}

/// Sends the header, the body, and what follows it. Returns false when the client is gone.
template <class Stream>
asio::awaitable<bool> send(ConnectionPtr<Stream> connection, IncomingRequestPtr incoming, Message message,
                           std::vector<std::string> texts) {
  const auto until = steady_clock::now() + connection->connections->limits.write_timeout;
  auto first = text_of(message);
  const bool has_body = incoming->head.method != "HEAD";
  // A small answer goes out in one write.
  if (has_body && texts.front().size() <= kWritePiece) first += std::exchange(texts.front(), {});
  bool sent = co_await send_text(connection, until, std::move(first));
  for (auto& text : texts) {
    if (!sent || !has_body) break;
    auto next = std::exchange(text, {});
    sent = co_await send_text(connection, until, std::move(next));
  }
  co_return sent;
}

/// Whether the other side has closed the connection, or its half of it: what it asked for is of no use any more.
template <class Stream>
bool has_gone(ConnectionOf<Stream>& connection) {
  auto& socket = lowest(connection.stream).socket();
  if (!socket.is_open()) return true;
  pollfd looked_at{.fd = socket.native_handle(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&looked_at, 1, 0) > 0;
}

/// Ends the stream of a client that goes away: between two events, nothing else would show it.
template <class Stream>
void end_when_gone(std::shared_ptr<asio::steady_timer> timer, std::weak_ptr<ConnectionOf<Stream>> weak,
                   std::shared_ptr<EventStream> events) {
  timer->expires_after(kGoneLook);
  timer->async_wait([timer, weak, events](const error_code& error) {
    const auto connection = weak.lock();
    if (error || !connection) return;
    if (has_gone(*connection)) return events->end();
    end_when_gone<Stream>(timer, weak, events);
  });
}

/// Sends pieces until the stream ends or the client is gone.
template <class Stream>
asio::awaitable<void> send_events(ConnectionPtr<Stream> connection, std::shared_ptr<EventStream> events) {
  connection->events = events;
  if (connection->finishing) events->end();
  const auto looks = std::make_shared<asio::steady_timer>(connection->connections->executor);
  end_when_gone<Stream>(looks, connection, events);
  for (;;) {
    auto piece = co_await events->next();
    if (!piece) break;
    lowest(connection->stream).expires_after(connection->connections->limits.write_timeout);
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto bytes = asio::buffer(*piece);
    co_await asio::async_write(connection->stream, bytes, token);
    if (error) break;
  }
  looks->cancel();
  events->end();
  connection->events.reset();
}

/// Sends the answer. Returns `next`, unless the connection cannot go on that way.
template <class Stream>
asio::awaitable<Next> answer(ConnectionPtr<Stream> connection, IncomingRequestPtr incoming, HttpResponse response,
                             Next next) {
  const auto& head = incoming->head;
  const auto handler = connection->connections->handler;
  const auto size = size_of(response);
  if (incoming->has_reserved) {
    incoming->answer_share.take_anyway_up_to(size);
  } else if (!incoming->answer_share.take_up_to(size)) {
    if (response.events) response.events->end();
    response = handler->failure(head, 429, std::string(kAnswersWait));
  }
  connection->connections->bytes_handled += size;
  handler->answered(head, response, steady_clock::now() - incoming->began);
  auto events = response.events;
  if (events || connection->finishing) next = Next::kLinger;
  auto message = message_of(response, head, next);
  std::vector<std::string> texts;
  texts.push_back(std::move(response.body));
  std::ranges::move(response.more, std::back_inserter(texts));
  const bool sent = co_await send(connection, incoming, std::move(message), std::move(texts));
  const bool ends_with_header = !sent || head.method == "HEAD";
  if (ends_with_header && events) std::exchange(events, nullptr)->end();
  if (!sent) co_return Next::kClose;
  if (events) co_await send_events(connection, std::move(events));
  co_return next;
}

/// Answers a request that the server itself does not accept.
template <class Stream>
asio::awaitable<Next> answer_fault(ConnectionPtr<Stream> connection, IncomingRequestPtr incoming, RequestFault fault) {
  if (fault.status == 0) co_return Next::kClose;
  auto& head = incoming->head;
  if (head.id.empty()) head.id = request_id("");
  auto response = connection->connections->handler->failure(head, fault.status, fault.detail);
  const auto next = co_await answer(connection, incoming, std::move(response), Next::kLinger);
  co_return next;
}

template <class Stream>
asio::awaitable<Next> serve_request(ConnectionPtr<Stream> connection) {
  const auto incoming = std::make_shared<IncomingRequest>(connection->connections);
  const auto handler = connection->connections->handler;
  auto fault = co_await read_header(connection, incoming);
  std::optional<HttpResponse> response;
  if (!fault) response = handler->refuse(incoming->head);
  if (!fault && !response) fault = co_await read_body(connection, incoming);
  if (fault) {
    const auto next = co_await answer_fault(connection, incoming, std::move(*fault));
    co_return next;
  }
  const bool keep_alive = incoming->parser.is_done() && incoming->parser.keep_alive();
  // The certificate may come from an authority that is left: the next handshake tells.
  const bool goes_on = keep_alive && !incoming->head.lost_authority;
  const auto next_if_sent = goes_on ? Next::kNextRequest : Next::kLinger;
  if (!response) {
    lowest(connection->stream).expires_never();
    connection->answering = true;
    HttpRequest request{
        .head = incoming->head,
        .body = std::move(incoming->parser.get().body()),
        .client = incoming->client,
        .answer_limit = incoming,
        .client_has_gone = [connection] { return has_gone(*connection); },
        .certificate_now =
            [connection] { return has_lost_authority(*connection) ? std::nullopt : connection->certificate; }};
    response = co_await handler->respond(std::move(request));
    connection->answering = response->events != nullptr;
  }
  const auto next = co_await answer(connection, incoming, std::move(*response), next_if_sent);
  co_return next;
}

asio::awaitable<void> end_session(ConnectionPtr<PlainStream>) {
  co_return;
}

/// Tells the client that nothing was cut off.
asio::awaitable<void> end_session(ConnectionPtr<TlsStream> connection) {
  lowest(connection->stream).expires_after(kLingerTime);
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await connection->stream.async_shutdown(token);
}

/// Reads what the client still sends for a while before the connection is closed, so that the last answer arrives.
template <class Stream>
asio::awaitable<void> linger(ConnectionPtr<Stream> connection) {
  co_await end_session(connection);
  auto& stream = lowest(connection->stream);
  error_code error;
  stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  stream.expires_after(kLingerTime);
  std::size_t read = 0;
  while (!error && read < kLingerBytes) {
    connection->buffer.clear();
    auto space = connection->buffer.prepare(kReadPiece);
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const auto size = co_await stream.async_read_some(space, token);
    read += size;
  }
}

template <class Stream>
asio::awaitable<void> serve_requests(ConnectionPtr<Stream> connection) {
  const auto& limits = connection->connections->limits;
  auto next = Next::kNextRequest;
  auto wait = std::min(limits.first_byte_timeout, limits.idle_timeout);
  while (next == Next::kNextRequest) {
    const bool came = co_await wait_for_request(connection, wait);
    if (!came) break;
    next = co_await serve_request(connection);
    connection->answering = false;
    if (connection->buffer.size() == 0) connection->buffer.shrink_to_fit();
    wait = limits.idle_timeout;
  }
  if (next == Next::kLinger) co_await linger(connection);
  connection->close();
}

asio::awaitable<void> serve(ConnectionPtr<PlainStream> connection) {
  return serve_requests(std::move(connection));
}

asio::awaitable<void> call(Transport::Step step) {
  step(HandshakeStep::kTake);
  co_return;
}

/// Has a step of a handshake done on the thread for that, when it is the peer's turn; not for a client that has gone.
/// The first step costs most, and the others have a turn of their own: they do not wait behind first ones.
asio::awaitable<void> take_step(ConnectionPtr<TlsStream> connection, Transport::Step step, bool is_first) {
  const auto handshakes = connection->connections->handshakes;
  connection->room->begin_step(*connection);
  auto taking = FairQueue::take(handshakes->turns(), connection->peer + (is_first ? "" : ", later steps"), 1);
  const auto turn = co_await std::move(taking);
  if (has_gone(*connection)) {
    step(HandshakeStep::kGiveUp);
  } else {
    auto calling = call(std::move(step));
    co_await asio::co_spawn(handshakes->executor(), std::move(calling), asio::use_awaitable);
  }
  connection->room->end_step(*connection);
}

/// Only its steps use the TLS stream until it has ended.
asio::awaitable<error_code> run_handshake(ConnectionPtr<TlsStream> connection) {
  const std::weak_ptr<ConnectionOf<TlsStream>> weak = connection;
  auto& transport = connection->stream.next_layer();
  auto take = [weak, is_first = true](Transport::Step step) mutable {
    const auto present = weak.lock();
    if (!present) return;
    const auto& connections = *present->connections;
    auto taking = take_step(present, std::move(step), std::exchange(is_first, false));
    spawn_once(connections.executor, "a TLS handshake", std::move(taking), connections.report);
  };
  transport.begin_handshake(connection->connections->limits.handshake_timeout, std::move(take));
  const auto outcome = std::make_shared<error_code>();
  auto begin = [&connection, outcome](std::move_only_function<void()> resume) {
    connection->stream.async_handshake(
        asio::ssl::stream_base::server,
        [outcome, executor = connection->connections->executor, resume = std::move(resume)](error_code error) mutable {
          *outcome = error;
          asio::post(executor, std::move(resume));
        });
  };
  auto suspension = suspend(std::move(begin));
  co_await std::move(suspension);
  transport.end_handshake();
  co_return *outcome;
}

asio::awaitable<void> serve(ConnectionPtr<TlsStream> connection) {
  connection->idle = false;
  auto handshake = run_handshake(connection);
  const auto error = co_await std::move(handshake);
  if (error) co_return connection->close();
  connection->certificate = verified_certificate(connection->stream.native_handle());
  co_await serve_requests(connection);
}

/// A context of the connection's own that refers to the shared one.
asio::ssl::context context_of(const TlsContext& tls) {
  auto* const native = static_cast<SSL_CTX*>(tls.native());
  SSL_CTX_up_ref(native);
  return asio::ssl::context(native);
}

template <class Stream>
void launch(ConnectionPtr<Stream> connection) {
  auto& connections = *connection->connections;
  connection->entry = connections.list.insert(connections.list.end(), connection);
  spawn_once(connection->stream.get_executor(), "a connection", serve(connection), connections.report);
}

}  // namespace

std::vector<std::shared_ptr<ClientConnection>> ClientConnections::present() const {
  std::vector<std::shared_ptr<ClientConnection>> connections;
  for (const auto& entry : list) {
    if (auto connection = entry.lock()) connections.push_back(std::move(connection));
  }
  return connections;
}

std::string peer_of(Generic::socket& socket, const Generic::endpoint& remote) {
  if (remote.protocol().family() == AF_UNIX) {
    ucred user{};
    socklen_t size = sizeof(user);
    const bool known = ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &user, &size) == 0;
    return "uid:" + (known ? std::to_string(user.uid) : "unknown");
  }
  asio::ip::tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), remote.data(), std::min(remote.size(), endpoint.capacity()));
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  // Each user of this machine has all of 127.0.0.0/8.
  if (address.is_loopback()) return "loopback";
  if (address.is_v4()) return address.to_string();
  constexpr unsigned short kNetworkBits = 64;
  return asio::ip::make_network_v6(address.to_v6(), kNetworkBits).canonical().to_string();
}

void start_connection(std::shared_ptr<ClientConnections> connections, NewConnection accepted) {
  if (!accepted.peer.starts_with("uid:")) {
    error_code ignored;
    accepted.socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  }
  if (!accepted.tls) {
    return launch(std::make_shared<ConnectionOf<PlainStream>>(std::move(connections), std::move(accepted)));
  }
  auto context = context_of(*accepted.tls);
  launch(std::make_shared<ConnectionOf<TlsStream>>(std::move(connections), std::move(accepted), context));
}

}  // namespace hasigner::service
