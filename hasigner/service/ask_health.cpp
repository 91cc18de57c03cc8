#include "hasigner/service/ask_health.hpp"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <memory>
#include <span>
#include <system_error>

namespace hasigner::service {

namespace {

using Health = std::expected<void, std::string>;
using Endpoint = boost::asio::generic::stream_protocol::endpoint;
using TlsSession = std::unique_ptr<SSL, decltype([](SSL* session) { SSL_free(session); })>;

constexpr std::string_view kRequest = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 ";

/// A blocking socket whose calls end at the time-out.
class Socket {
 public:
  Socket(int family, std::chrono::milliseconds timeout) : descriptor_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
    const timeval limit{seconds.count(), std::chrono::microseconds(timeout - seconds).count()};
    for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      ::setsockopt(descriptor_, SOL_SOCKET, direction, &limit, sizeof limit);
    }
  }
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] int native() const { return descriptor_; }

 private:
  int descriptor_;
};

Endpoint endpoint_of(const ListenAddress& address) {
  namespace ip = boost::asio::ip;
  if (const auto* const path = std::get_if<UnixAddress>(&address)) {
    return boost::asio::local::stream_protocol::endpoint(path->path);
  }
  const auto& tcp = std::get<TcpAddress>(address);
  auto host = ip::make_address(tcp.host);
  if (host.is_unspecified()) {
    host = host.is_v4() ? ip::address(ip::address_v4::loopback()) : ip::address(ip::address_v6::loopback());
  }
  return ip::tcp::endpoint(host, tcp.port);
}

std::unexpected<std::string> failure(std::string_view what) {
  const bool too_late = errno == EAGAIN || errno == EINPROGRESS;
  const auto why = too_late ? "no answer in time" : std::generic_category().message(errno);
  return std::unexpected(std::string(what) + ": " + why);
}

/// Sends the request and looks at the status of the answer.
template <class Write, class Read>
Health exchange(const Write& write, const Read& read) {
  if (write(kRequest) != static_cast<int>(kRequest.size())) return failure("does not take a request");
  std::array<char, kAnswer.size() + 3> bytes{};
  std::size_t size = 0;
  while (size < bytes.size()) {
    errno = ECONNRESET;
    const int count = read(std::span(bytes).subspan(size));
    if (count <= 0) return failure("does not answer");
    size += static_cast<std::size_t>(count);
  }
  const std::string_view answer(bytes.data(), bytes.size());
  if (!answer.starts_with(kAnswer)) return std::unexpected("does not answer in HTTP/1.1");
  const auto status = answer.substr(kAnswer.size());
  if (status != "200") return std::unexpected("answers with status " + printable(status));
  return {};
}

Health ask_over_tls(const Socket& socket) {
  const std::unique_ptr<SSL_CTX, decltype([](SSL_CTX* one) { SSL_CTX_free(one); })> context(
      SSL_CTX_new(TLS_client_method()));
  const TlsSession session(SSL_new(context.get()));
  errno = ECONNRESET;
  if (SSL_set_fd(session.get(), socket.native()) != 1 || SSL_connect(session.get()) != 1) {
    return failure("fails in the TLS handshake");
  }
  return exchange(
      [&](std::string_view text) { return SSL_write(session.get(), text.data(), static_cast<int>(text.size())); },
      [&](std::span<char> room) { return SSL_read(session.get(), room.data(), static_cast<int>(room.size())); });
}

}  // namespace

Health ask_health(const ListenAddress& address, bool tls, std::chrono::milliseconds timeout) {
  const auto endpoint = endpoint_of(address);
  const Socket socket(endpoint.data()->sa_family, timeout);
  if (::connect(socket.native(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    return failure("cannot be connected to");
  }
  if (tls) return ask_over_tls(socket);
  return exchange(
      [&](std::string_view text) {
        return static_cast<int>(::send(socket.native(), text.data(), text.size(), MSG_NOSIGNAL));
      },
      [&](std::span<char> room) { return static_cast<int>(::recv(socket.native(), room.data(), room.size(), 0)); });
}

}  // namespace hasigner::service
