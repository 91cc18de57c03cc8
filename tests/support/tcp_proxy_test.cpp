#include "tests/support/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hasigner::test {
namespace {

/// Answers each byte with the same byte, on every connection.
class EchoServer {
 public:
  EchoServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, any, size) != 0 || ::listen(listener_, 128) != 0 || ::getsockname(listener_, any, &size) != 0)
      throw std::runtime_error("the echo server cannot listen");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this] { accept_all(); });
  }
  ~EchoServer() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    connections_.clear();
    ::close(listener_);
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void accept_all() {
    for (int accepted = 0; (accepted = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      connections_.emplace_back([accepted] {
        char byte = 0;
        while (::recv(accepted, &byte, 1, 0) == 1 && ::send(accepted, &byte, 1, MSG_NOSIGNAL) == 1) continue;
        ::close(accepted);
      });
    }
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

int connected_to(std::uint16_t port) {
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("no connection to the proxy");
  return connection;
}

bool echoes(int connection) {
  char byte = 'x';
  return ::send(connection, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(connection, &byte, 1, 0) == 1;
}

/// The traffic keeps the proxy at work among its connections when the cut is asked for.
TEST(TcpProxy, a_cut_ends_every_connection_however_busy_the_proxy_is) {
  EchoServer server;
  TcpProxy proxy(server.port());
  for (int round = 0; round < 200; ++round) {
    std::array<int, 8> connections{};
    for (int& connection : connections) {
      connection = connected_to(proxy.port());
      ASSERT_TRUE(echoes(connection));
    }
    std::atomic<bool> stop = false;
    std::vector<std::jthread> clients;
    for (const int connection : connections) {
      clients.emplace_back([connection, &stop] {
        while (!stop && echoes(connection)) continue;
      });
    }
    proxy.cut();
    stop = true;
    clients.clear();
    for (const int connection : connections) {
      EXPECT_FALSE(echoes(connection)) << "in round " << round;
      ::close(connection);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace hasigner::test
