#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

namespace hasigner::test {

/// What the proxy does with the bytes of one direction.
enum class Flow : std::uint8_t {
  kPass,
  kDrop,  ///< they vanish; the connection stays open
  kHold,  ///< they wait until the flow is kPass again
};

/// A network between a client and a server of 127.0.0.1 that misbehaves at a test's command.
///
/// Thread safety: any thread.
class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  void set_to_server(Flow flow);
  void set_to_client(Flow flow);
  /// New connections are accepted, and then nothing happens on them.
  void accept_and_stay_silent();
  /// After so many more bytes towards the server the connection that sent them is cut: a half-sent request.
  void cut_after_bytes_to_server(std::uint64_t bytes);
  /// Ends all connections, on both sides, with a reset towards the client.
  void cut();

  [[nodiscard]] std::uint64_t bytes_to_server() const { return bytes_to_server_; }
  [[nodiscard]] std::uint64_t bytes_to_client() const { return bytes_to_client_; }
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }

 private:
  enum class Towards : std::uint8_t { kServer, kClient };
  struct Connection {
    int client = -1;
    int server = -1;  ///< none for a silent one
  };

  void work();
  void accept_one();
  [[nodiscard]] bool carry(Connection& connection, Towards towards);
  void close_connection(const Connection& connection);
  void wake();

  std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_ = -1;
  std::atomic<Flow> to_server_{Flow::kPass};
  std::atomic<Flow> to_client_{Flow::kPass};
  std::atomic<bool> silent_{false};
  std::atomic<bool> cut_{false};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> cut_after_{UINT64_MAX};
  std::atomic<std::uint64_t> bytes_to_server_{0};
  std::atomic<std::uint64_t> bytes_to_client_{0};
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> cuts_done_{0};
  std::list<Connection> connections_;  ///< of the worker only
  std::thread worker_;
};

}  // namespace hasigner::test
