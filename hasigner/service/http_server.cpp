#include "hasigner/service/http_server.hpp"

#include <sys/socket.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/redirect_error.hpp>

#include "hasigner/service/client_connection.hpp"

namespace hasigner::service {

namespace {

using boost::system::error_code;
using Generic = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Generic>;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::size_t kAcceptAtOnce = 64;
/// How long the acceptance of connections waits for one that comes behind too many handshakes of its address.
constexpr std::chrono::milliseconds kMostHandshakeWait{100};
constexpr std::chrono::milliseconds kHandshakeLook{1};
/// While more handlers of connections wait for a turn, the acceptance of connections waits for them, up to so long.
constexpr std::size_t kFewHandlers = 64;
constexpr std::chrono::milliseconds kMostTurnsWait{20};
constexpr std::chrono::milliseconds kTurnsLook{1};
constexpr std::chrono::milliseconds kClosingTime{1'000};
constexpr std::chrono::milliseconds kDrainLook{2};

}  // namespace

struct HttpServer::State {
  State(asio::any_io_executor executor, HttpLimits limits, std::shared_ptr<HttpHandler> handler, ReportFailure report)
      : connections(
            std::make_shared<ClientConnections>(std::move(executor), limits, std::move(handler), std::move(report))) {}

  void close_listeners() {
    for (auto& acceptor : acceptors) {
      error_code ignored;
      acceptor->close(ignored);
    }
    acceptors.clear();
    listeners.clear();
  }

  static asio::awaitable<void> accept_connections(std::shared_ptr<State> self, std::shared_ptr<Acceptor> acceptor,
                                                  std::shared_ptr<ConnectionRoom> room, CurrentTls tls);
  void admit(NewConnection accepted, const CurrentTls& tls);
  static asio::awaitable<void> wait_for_handshakes(std::shared_ptr<State> self, std::shared_ptr<ConnectionRoom> room,
                                                   std::string peer);
  static asio::awaitable<void> wait_for_turns(std::shared_ptr<State> self);
  static asio::awaitable<void> wait_until_empty(std::shared_ptr<State> self, steady_clock::time_point until);
  static asio::awaitable<void> drain(std::shared_ptr<State> self, std::chrono::milliseconds grace);

  std::shared_ptr<ClientConnections> connections;
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  std::vector<Listener> listeners;                     ///< for the files of Unix sockets
  std::vector<std::shared_ptr<ConnectionRoom>> rooms;  ///< of the listeners
  std::uint64_t refused = 0;
  bool draining = false;
};

namespace {

/// Refuses a connection, in as few bytes as the socket takes at once.
void send_unavailable(Generic::socket socket) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  static_cast<void>(::send(socket.native_handle(), kAnswer.data(), kAnswer.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

int family_of(const ListenAddress& address) {
  const auto* const tcp = std::get_if<TcpAddress>(&address);
  if (!tcp) return AF_UNIX;
  return tcp->host.contains(':') ? AF_INET6 : AF_INET;
}

}  // namespace

asio::awaitable<void> HttpServer::State::accept_connections(std::shared_ptr<State> self,
                                                            std::shared_ptr<Acceptor> acceptor,
                                                            std::shared_ptr<ConnectionRoom> room, CurrentTls tls) {
  asio::steady_timer pause(self->connections->executor);
  while (!self->draining) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    Generic::endpoint remote;
    auto membership = std::make_shared<ConnectionTurns::Membership>(self->connections->turns);
    Generic::socket socket(ConnectionTurns::Executor{membership});
    co_await acceptor->async_accept(socket, remote, token);
    if (self->draining || error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
    if (error) {
      // The usual cause: all descriptors are in use.
      static_cast<void>(room->close_one());
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(token);
      continue;
    }
    // While connections come quickly, others must not wait in the kernel's queue: it drops what does not fit.
    for (std::size_t count = 1; !self->draining; ++count) {
      auto peer = peer_of(socket, remote);
      membership->join_unknown(peer);
      if (room->must_wait(peer)) {
        auto waiting = wait_for_handshakes(self, room, peer);
        co_await std::move(waiting);
      }
      self->admit({std::move(socket), std::move(membership), std::move(peer), nullptr, room}, tls);
      if (count == kAcceptAtOnce) break;
      membership = std::make_shared<ConnectionTurns::Membership>(self->connections->turns);
      socket = Generic::socket(ConnectionTurns::Executor{membership});
      acceptor->accept(socket, remote, error);
      if (error) break;
    }
    auto waiting = wait_for_turns(self);
    co_await std::move(waiting);
  }
}

/// Lets the acceptance of connections slow down with the handshakes: otherwise each new connection would close one of
/// its address that has just had its turn.
asio::awaitable<void> HttpServer::State::wait_for_handshakes(std::shared_ptr<State> self,
                                                             std::shared_ptr<ConnectionRoom> room, std::string peer) {
  const auto until = steady_clock::now() + kMostHandshakeWait;
  asio::steady_timer timer(self->connections->executor);
  while (room->must_wait(peer) && !self->draining && steady_clock::now() < until) {
    timer.expires_after(kHandshakeLook);
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await timer.async_wait(token);
  }
}

/// Connections that come faster than they get turns would be closed for those that come after them.
asio::awaitable<void> HttpServer::State::wait_for_turns(std::shared_ptr<State> self) {
  const auto until = steady_clock::now() + kMostTurnsWait;
  asio::steady_timer timer(self->connections->executor);
  while (self->connections->turns->waiting() > kFewHandlers && !self->draining && steady_clock::now() < until) {
    timer.expires_after(kTurnsLook);
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await timer.async_wait(token);
  }
}

void HttpServer::State::admit(NewConnection accepted, const CurrentTls& tls) {
  if (tls) accepted.tls = tls();
  accepted.current_tls = tls;
  if (accepted.room->make_room(accepted.peer)) return start_connection(connections, std::move(accepted));
  ++refused;
  if (!accepted.tls) send_unavailable(std::move(accepted.socket));
}

asio::awaitable<void> HttpServer::State::wait_until_empty(std::shared_ptr<State> self, steady_clock::time_point until) {
  asio::steady_timer timer(self->connections->executor);
  while (self->connections->open > 0 && steady_clock::now() < until) {
    timer.expires_after(kDrainLook);
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await timer.async_wait(token);
  }
}

asio::awaitable<void> HttpServer::State::drain(std::shared_ptr<State> self, std::chrono::milliseconds grace) {
  self->draining = true;
  self->close_listeners();
  for (const auto& connection : self->connections->present()) connection->finish();
  co_await wait_until_empty(self, steady_clock::now() + grace);
  for (const auto& connection : self->connections->present()) connection->close();
  co_await wait_until_empty(self, steady_clock::now() + kClosingTime);
}

HttpServer::HttpServer(asio::any_io_executor executor, HttpLimits limits, std::shared_ptr<HttpHandler> handler,
                       ReportFailure report)
    : state_(std::make_shared<State>(std::move(executor), limits, std::move(handler), std::move(report))) {}

HttpServer::~HttpServer() {
  state_->draining = true;
  state_->close_listeners();
  for (const auto& connection : state_->connections->present()) connection->close();
  // Coroutines of handshakes and of connections wait there, and would keep what they wait for.
  if (state_->connections->handshakes) state_->connections->handshakes->close();
  state_->connections->turns->close();
}

void HttpServer::listen(Listener listener, CurrentTls tls) {
  const int family = family_of(listener.address());
  const auto executor = state_->connections->executor;
  auto acceptor = std::make_shared<Acceptor>(executor);
  acceptor->assign(Generic(family, family == AF_UNIX ? 0 : IPPROTO_TCP), listener.release());
  acceptor->non_blocking(true);
  state_->acceptors.push_back(acceptor);
  state_->listeners.push_back(std::move(listener));
  auto& handshakes = state_->connections->handshakes;
  if (tls && !handshakes) handshakes = std::make_shared<HandshakeThread>(executor);
  const auto& limits = state_->connections->limits;
  // Behind a Unix socket all connections may be of one user.
  auto room = std::make_shared<ConnectionRoom>(ConnectionRoom::Limits{
      limits.connections, family == AF_UNIX ? limits.connections : limits.connections_of_a_peer});
  state_->rooms.push_back(room);
  spawn_loop(
      executor, "the acceptance of connections",
      [state = state_, acceptor, room, tls = std::move(tls)] {
        return State::accept_connections(state, acceptor, room, tls);
      },
      state_->connections->report);
}

asio::awaitable<void> HttpServer::drain(std::chrono::milliseconds grace) {
  return State::drain(state_, grace);
}

std::size_t HttpServer::connections() const {
  return state_->connections->open;
}

std::size_t HttpServer::requests_in_flight() const {
  return state_->connections->requests_in_flight;
}

std::uint64_t HttpServer::bytes_handled() const {
  return state_->connections->bytes_handled;
}

std::size_t HttpServer::bytes_held() const {
  return state_->connections->body_bytes.taken() + state_->connections->answer_bytes.taken();
}

std::uint64_t HttpServer::connections_refused() const {
  std::uint64_t refused = state_->refused;
  for (const auto& room : state_->rooms) refused += room->closed();
  return refused;
}

}  // namespace hasigner::service
