#include "hasigner/service/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <thread>

#include "hasigner/service/responses.hpp"
#include "hasigner/service/tls_context.hpp"

namespace hasigner::service {
namespace {

using boost::system::error_code;
using testing::EndsWith;
using testing::StartsWith;
using Socket = asio::ip::tcp::socket;
using namespace std::chrono_literals;

/// A stream without events.
class SilentStream final : public EventStream {
 public:
  explicit SilentStream(asio::any_io_executor executor) : bell_(std::move(executor), std::chrono::hours(1)) {}

  asio::awaitable<std::optional<std::string>> next() override {
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    if (!ended_) co_await bell_.async_wait(token);
    co_return std::nullopt;
  }
  void end() override {
    if (!std::exchange(ended_, true)) has_ended.set_value();
    bell_.cancel();
  }

  std::promise<void> has_ended;

 private:
  asio::steady_timer bell_;
  bool ended_ = false;
};

constexpr std::size_t kLarge = 16 * 1024 * 1024;  ///< more than sockets hold

/// Knows one client or none, and answers `OK`, with a large text, or with a stream.
class Handler final : public HttpHandler {
 public:
  [[nodiscard]] std::optional<std::string> client_name(const RequestHead&) const override { return client; }
  [[nodiscard]] std::optional<HttpResponse> refuse(const RequestHead&) override { return std::nullopt; }
  [[nodiscard]] asio::awaitable<HttpResponse> respond(HttpRequest request) override {
    if (before_answer) before_answer();
    auto response = text_response(request.head.path == "/large" ? std::string(kLarge, ' ') : "OK");
    response.events = stream;
    co_return response;
  }
  [[nodiscard]] HttpResponse failure(const RequestHead&, unsigned status, const std::string& detail) override {
    return {.status = status, .body = detail};
  }
  void answered(const RequestHead&, const HttpResponse&, std::chrono::nanoseconds) override {}

  std::optional<std::string> client = "client";
  std::shared_ptr<SilentStream> stream;
  std::function<void()> before_answer;
};

/// A server on a thread of its own.
struct HttpServerTest : testing::Test {
  explicit HttpServerTest(HttpLimits limits = {}, CurrentTls tls = nullptr) {
    auto listener = Listener::open(TcpAddress{"127.0.0.1", 0});
    port = std::get<TcpAddress>(listener.address()).port;
    const ReportFailure report = [](std::string_view work, const std::exception_ptr&) { ADD_FAILURE() << work; };
    server = std::make_unique<HttpServer>(context.get_executor(), limits, handler, report);
    server->listen(std::move(listener), std::move(tls));
    thread = std::thread([this] { context.run(); });
  }
  ~HttpServerTest() override {
    context.stop();
    thread.join();
  }

  Socket connect() {
    Socket socket(clients);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }
  Socket send(const std::string& text) {
    auto socket = connect();
    asio::write(socket, asio::buffer(text));
    return socket;
  }
  std::future<void> begin_stream() {
    handler->stream = std::make_shared<SilentStream>(context.get_executor());
    return handler->stream->has_ended.get_future();
  }

  asio::io_context context{1};
  asio::io_context clients;
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(context);
  std::shared_ptr<Handler> handler = std::make_shared<Handler>();
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  std::thread thread;
};

std::string read_to_end(Socket& socket) {
  std::string text;
  error_code ignored;
  asio::read(socket, asio::dynamic_buffer(text), ignored);
  return text;
}

const std::string kGet = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_F(HttpServerTest, ends_a_stream_whose_header_cannot_be_sent) {
  auto ended = begin_stream();
  auto client = connect();
  handler->before_answer = [&client] {
    // With a reset, so that the next write fails.
    client.set_option(asio::socket_base::linger(true, 0));
    client.close();
  };
  asio::write(client, asio::buffer(kGet));
  EXPECT_EQ(ended.wait_for(10s), std::future_status::ready);
}

TEST_F(HttpServerTest, ends_a_stream_soon_after_its_client_has_gone) {
  auto ended = begin_stream();
  auto client = send(kGet);
  std::string header;
  asio::read_until(client, asio::dynamic_buffer(header), "\r\n\r\n");
  EXPECT_EQ(ended.wait_for(0s), std::future_status::timeout);
  client.close();
  EXPECT_EQ(ended.wait_for(5s), std::future_status::ready);
}

TEST_F(HttpServerTest, answers_head_of_a_stream_with_its_header) {
  auto ended = begin_stream();
  auto client = send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client.shutdown(Socket::shutdown_send);
  const auto text = read_to_end(client);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
  EXPECT_EQ(ended.wait_for(0s), std::future_status::ready);
}

constexpr std::size_t kBody = 100'000;
constexpr std::size_t kPart = 70'000;

struct FullOfParts : HttpServerTest {
  FullOfParts() : HttpServerTest({.all_body_bytes = 400'000}) {}

  const std::string part = "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(kBody) +
                           "\r\n\r\n" + std::string(kPart, ' ');
  Socket begin() { return send(part); }
  /// Whether the server has read so many parts.
  [[nodiscard]] bool has_read(std::size_t parts) {
    std::promise<std::uint64_t> bytes;
    asio::post(context, [&] { bytes.set_value(server->bytes_handled()); });
    return bytes.get_future().get() >= parts * kPart;
  }
  void wait_until_read(std::size_t parts) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!has_read(parts) && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(has_read(parts));
  }
  static std::string end(Socket& socket) {
    asio::write(socket, asio::buffer(std::string(kBody - kPart, ' ')));
    socket.shutdown(Socket::shutdown_send);
    return read_to_end(socket);
  }
};

TEST_F(FullOfParts, one_body_of_a_client_that_has_no_room_left_goes_on) {
  // The client alone may have half of the room: three parts, but for what is not counted.
  std::vector<Socket> within;
  for (int i = 0; i < 3; ++i) within.push_back(begin());
  wait_until_read(3);
  auto beyond = begin();
  wait_until_read(4);
  auto refused = begin();
  EXPECT_THAT(read_to_end(refused), StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(end(beyond), StartsWith("HTTP/1.1 200 "));
  for (auto& one : within) EXPECT_THAT(end(one), StartsWith("HTTP/1.1 200 "));
}

TEST_F(FullOfParts, unknown_clients_of_several_addresses_have_the_room_of_one) {
  handler->client.reset();
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("hasigner-" + std::to_string(port));
  std::promise<void> listens;
  asio::post(context, [&] {
    server->listen(Listener::open(UnixAddress{path}), nullptr);
    listens.set_value();
  });
  listens.get_future().wait();
  std::vector<Socket> of_one_address;
  for (std::size_t i = 0; i < 4; ++i) {
    of_one_address.push_back(begin());
    wait_until_read(i + 1);
  }
  asio::local::stream_protocol::socket of_another(clients);
  of_another.connect(path.string());
  asio::write(of_another, asio::buffer(part));
  std::string answer;
  error_code ignored;
  asio::read(of_another, asio::dynamic_buffer(answer), ignored);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429 "));
}

struct FewConnections : HttpServerTest {
  FewConnections() : HttpServerTest({.connections = 3, .connections_of_a_peer = 3}) {}
};

TEST_F(FewConnections, a_client_that_does_not_read_its_answers_keeps_no_new_connection_out) {
  std::vector<Socket> unread;
  for (int i = 0; i < 3; ++i) {
    unread.push_back(send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    std::string beginning;
    asio::read_until(unread.back(), asio::dynamic_buffer(beginning), "\r\n\r\n");
  }
  auto fresh = send(kGet);
  fresh.shutdown(Socket::shutdown_send);
  EXPECT_THAT(read_to_end(fresh), StartsWith("HTTP/1.1 200 "));
}

/// A certificate that is its own authority, with its key.
TlsFiles make_certificate(const std::filesystem::path& folder) {
  TlsFiles files{.certificate = folder / "certificate.pem", .key = folder / "key.pem", .client_authority = {}};
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3'600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  const auto write = [](const std::filesystem::path& path, auto put) {
    const std::unique_ptr<std::FILE, decltype(&std::fclose)> file(std::fopen(path.c_str(), "w"), &std::fclose);
    ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
    if (put(file.get()) != 1) throw std::runtime_error("cannot write " + path.string());
  };
  write(files.certificate, [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
  write(files.key,
        [&](std::FILE* file) { return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  return files;
}

CurrentTls make_tls() {
  std::string name = (std::filesystem::temp_directory_path() / "hasigner-tls-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  auto context = std::make_shared<const TlsContext>(make_certificate(folder));
  std::filesystem::remove_all(folder);
  return [context] { return context; };
}

struct TlsServerTest : HttpServerTest {
  TlsServerTest() : HttpServerTest({.handshake_timeout = 300ms}, make_tls()) {}

  using TlsClient = asio::ssl::stream<Socket>;

  /// Returns what the server answers over a connection of its own.
  std::string ask(asio::ssl::context& tls) {
    TlsClient client(connect(), tls);
    client.handshake(TlsClient::client);
    asio::write(client, asio::buffer(kGet));
    std::string text;
    asio::read_until(client, asio::dynamic_buffer(text), "OK");
    return text;
  }
  /// What a client sends first.
  static std::string hello() {
    asio::io_context context;
    asio::ip::tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
    asio::ssl::context tls(asio::ssl::context::tls_client);
    TlsClient client(Socket(context), tls);
    client.next_layer().connect(acceptor.local_endpoint());
    client.async_handshake(TlsClient::client, [](error_code) {});
    context.poll();
    auto other = acceptor.accept();
    std::string text(10'000, ' ');
    text.resize(other.read_some(asio::buffer(text)));
    return text;
  }
};

TEST_F(TlsServerTest, shakes_hands_with_many_clients_at_once_beside_those_that_do_not_go_on) {
  const auto beginning = hello();
  std::vector<Socket> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(send(beginning));
  std::vector<std::future<int>> askers;
  for (int asker = 0; asker < 4; ++asker) {
    askers.push_back(std::async(std::launch::async, [this, &beginning] {
      asio::ssl::context tls(asio::ssl::context::tls_client);
      int answered = 0;
      for (int i = 0; i < 10; ++i) {
        send(beginning).close();
        answered += ask(tls).ends_with("OK") ? 1 : 0;
      }
      return answered;
    }));
  }
  for (auto& asker : askers) EXPECT_EQ(asker.get(), 10);
  // Those that wait for their client are closed when its time is over.
  for (auto& one : silent) EXPECT_FALSE(read_to_end(one).empty());
}

TEST_F(TlsServerTest, ends_while_handshakes_wait) {
  const auto beginning = hello();
  std::vector<Socket> clients_in_handshake;
  for (int i = 0; i < 50; ++i) clients_in_handshake.push_back(send(beginning));
  std::string answer(1, ' ');
  asio::read(clients_in_handshake.front(), asio::buffer(answer));
  EXPECT_EQ(answer, "\x16") << "a record of a handshake";
}

}  // namespace
}  // namespace hasigner::service
