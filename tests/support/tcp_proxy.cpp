#include "tests/support/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <vector>

namespace hasigner::test {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int connect_to(std::uint16_t port) {
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(connection);
    return -1;
  }
  const int yes = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return connection;
}

/// Closing then sends a reset instead of an orderly end.
void reset_on_close(int connection) {
  const linger hard{1, 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace

TcpProxy::TcpProxy(std::uint16_t server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const bool listens = bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       listen(listener_, 128) == 0 &&
                       getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!listens) throw std::runtime_error("the proxy cannot listen");
  port_ = ntohs(address.sin_port);
  worker_ = std::thread([this] { work(); });
}

TcpProxy::~TcpProxy() {
  stop_ = true;
  wake();
  worker_.join();
  for (const auto& connection : connections_) close_connection(connection);
  close(listener_);
  close(wake_);
}

void TcpProxy::wake() {
  const std::uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) return;
}

void TcpProxy::set_to_server(Flow flow) {
  to_server_ = flow;
  wake();
}

void TcpProxy::set_to_client(Flow flow) {
  to_client_ = flow;
  wake();
}

void TcpProxy::accept_and_stay_silent() {
  silent_ = true;
}

void TcpProxy::cut_after_bytes_to_server(std::uint64_t bytes) {
  cut_after_ = bytes_to_server_ + bytes;
}

void TcpProxy::cut() {
  const auto before = cuts_done_.load();
  cut_ = true;
  wake();
  while (cuts_done_ == before) std::this_thread::yield();
}

void TcpProxy::accept_one() {
  Connection connection;
  connection.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection.client < 0) return;
  ++accepted_;
  const int yes = 1;
  setsockopt(connection.client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (!silent_) {
    connection.server = connect_to(server_port_);
    if (connection.server < 0) {
      // As near as a listener that has already accepted comes to a refusal.
      reset_on_close(connection.client);
      close(connection.client);
      return;
    }
  }
  connections_.push_back(connection);
}

void TcpProxy::close_connection(const Connection& connection) {
  reset_on_close(connection.client);
  close(connection.client);
  if (connection.server >= 0) close(connection.server);
}

/// False: the connection has ended.
bool TcpProxy::carry(Connection& connection, Towards towards) {
  const bool to_server = towards == Towards::kServer;
  std::array<char, 65536> buffer;
  const int from = to_server ? connection.client : connection.server;
  const int to = to_server ? connection.server : connection.client;
  auto& counter = to_server ? bytes_to_server_ : bytes_to_client_;
  std::size_t most = buffer.size();
  if (to_server)
    most = static_cast<std::size_t>(std::min<std::uint64_t>(most, std::max<std::uint64_t>(1, cut_after_ - counter)));
  const ssize_t count = recv(from, buffer.data(), most, MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return true;
  if (count <= 0) return false;
  counter += static_cast<std::uint64_t>(count);
  const Flow flow = to_server ? to_server_ : to_client_;
  for (ssize_t sent = 0; flow == Flow::kPass && sent < count;) {
    const ssize_t once = send(to, buffer.data() + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
    if (once <= 0) return false;
    sent += once;
  }
  if (to_server && counter >= cut_after_) {
    cut_after_ = UINT64_MAX;
    return false;
  }
  return true;
}

void TcpProxy::work() {
  while (!stop_) {
    std::vector<pollfd> watched{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& connection : connections_) {
      const bool reads_client = connection.server >= 0 && to_server_ != Flow::kHold;
      const bool reads_server = connection.server >= 0 && to_client_ != Flow::kHold;
      watched.push_back({reads_client ? connection.client : -1, POLLIN, 0});
      watched.push_back({reads_server ? connection.server : -1, POLLIN, 0});
    }
    poll(watched.data(), watched.size(), -1);
    std::uint64_t wakes = 0;
    if (read(wake_, &wakes, sizeof wakes) < 0 && errno != EAGAIN) return;
    // Asked once: a cut that is asked for from now on must not find half of the connections already passed.
    const bool cuts = cut_.exchange(false);
    std::size_t at = 2;
    for (auto connection = connections_.begin(); connection != connections_.end(); at += 2) {
      bool open = !cuts;
      if (open && watched[at].revents != 0) open = carry(*connection, Towards::kServer);
      if (open && watched[at + 1].revents != 0) open = carry(*connection, Towards::kClient);
      if (!open) close_connection(*connection);
      connection = open ? std::next(connection) : connections_.erase(connection);
    }
    if (cuts) ++cuts_done_;
    if (watched[1].revents != 0) accept_one();
  }
}

}  // namespace hasigner::test
