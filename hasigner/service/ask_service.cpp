#include "hasigner/service/ask_service.hpp"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <memory>
#include <span>
#include <system_error>

namespace hasigner::service {

namespace {

using Health = std::expected<void, std::string>;
using Endpoint = boost::asio::generic::stream_protocol::endpoint;
using TlsSession = std::unique_ptr<SSL, decltype([](SSL* session) { SSL_free(session); })>;

constexpr std::string_view kHealthRequest = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 ";
constexpr std::size_t kLongestAnswer = 16 * 1024 * 1024;

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

/// Sends the request, and reads all that comes until the service ends the connection.
template <class Write, class Read>
std::expected<std::string, std::string> exchange(std::string_view request, const Write& write, const Read& read) {
  while (!request.empty()) {
    errno = ECONNRESET;
    const int count = write(request);
    if (count <= 0) return failure("does not take a request");
    request.remove_prefix(static_cast<std::size_t>(count));
  }
  std::string answer;
  std::array<char, 16'384> bytes{};
  for (;;) {
    errno = 0;
    const int count = read(std::span(bytes));
    if (count > 0) answer.append(bytes.data(), static_cast<std::size_t>(count));
    if (answer.size() > kLongestAnswer) return std::unexpected("answers with too much");
    if (count > 0) continue;
    const bool has_ended = errno == 0 && !answer.empty();
    if (has_ended) return answer;
    if (errno == 0) errno = ECONNRESET;
    return failure("does not answer");
  }
}

bool shows(const TlsSession& session, const std::filesystem::path& file) {
  const std::unique_ptr<X509, decltype([](X509* one) { X509_free(one); })> shown(
      SSL_get1_peer_certificate(session.get()));
  const std::unique_ptr<BIO, decltype([](BIO* one) { BIO_free(one); })> text(BIO_new_file(file.c_str(), "r"));
  if (!shown || !text) return false;
  const std::unique_ptr<X509, decltype([](X509* one) { X509_free(one); })> wanted(
      PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  return wanted && X509_cmp(shown.get(), wanted.get()) == 0;
}

struct Way {
  bool tls = false;
  std::optional<std::filesystem::path> certificate;  ///< nullopt: any
  std::chrono::milliseconds timeout;
};

std::expected<std::string, std::string> ask_over_tls(const Socket& socket, std::string_view request, const Way& way) {
  const std::unique_ptr<SSL_CTX, decltype([](SSL_CTX* one) { SSL_CTX_free(one); })> context(
      SSL_CTX_new(TLS_client_method()));
  const TlsSession session(SSL_new(context.get()));
  errno = ECONNRESET;
  if (SSL_set_fd(session.get(), socket.native()) != 1 || SSL_connect(session.get()) != 1) {
    return failure("fails in the TLS handshake");
  }
  if (way.certificate && !shows(session, *way.certificate)) {
    return std::unexpected("shows another certificate than '" + printable(way.certificate->string(), 300) +
                           "' has, so nothing was sent; where that file was replaced, reload the service by a signal "
                           "(systemctl reload ha-signer)");
  }
  return exchange(
      request,
      [&](std::string_view text) { return SSL_write(session.get(), text.data(), static_cast<int>(text.size())); },
      [&](std::span<char> room) { return SSL_read(session.get(), room.data(), static_cast<int>(room.size())); });
}

std::expected<std::string, std::string> ask(const ListenAddress& address, std::string_view request, const Way& way) {
  const auto endpoint = endpoint_of(address);
  const Socket socket(endpoint.data()->sa_family, way.timeout);
  if (::connect(socket.native(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    return failure("cannot be connected to");
  }
  if (way.tls) return ask_over_tls(socket, request, way);
  return exchange(
      request,
      [&](std::string_view text) {
        return static_cast<int>(::send(socket.native(), text.data(), text.size(), MSG_NOSIGNAL));
      },
      [&](std::span<char> room) { return static_cast<int>(::recv(socket.native(), room.data(), room.size(), 0)); });
}

std::string text_of(const OperatorRequest& request) {
  std::string text = std::string(request.method) + " " + std::string(request.path) +
                     " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer " +
                     std::string(request.token) + "\r\n";
  if (!request.body.empty()) text += "Content-Type: application/json\r\n";
  if (request.method == "POST") text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  return text + "\r\n" + request.body;
}

}  // namespace

Health ask_health(const ListenAddress& address, bool tls, std::chrono::milliseconds timeout) {
  const auto answer = ask(address, kHealthRequest, {.tls = tls, .certificate = {}, .timeout = timeout});
  if (!answer) return std::unexpected(answer.error());
  if (!answer->starts_with(kAnswer)) return std::unexpected("does not answer in HTTP/1.1");
  const auto status = answer->substr(kAnswer.size(), 3);
  if (status != "200") return std::unexpected("answers with status " + printable(status));
  return {};
}

std::expected<ServiceAnswer, std::string> ask_service(const ListenAddress& address, const OperatorRequest& request) {
  const auto text = text_of(request);
  const auto answer = ask(address, text, {request.certificate.has_value(), request.certificate, request.timeout});
  if (!answer) return std::unexpected(answer.error());
  namespace http = boost::beast::http;
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(*answer), error);
  if (!error && !parser.is_done()) parser.put_eof(error);
  if (error || !parser.is_done()) return std::unexpected("does not answer in HTTP/1.1, or not in full");
  return ServiceAnswer{parser.get().result_int(), std::move(parser.get().body())};
}

}  // namespace hasigner::service
