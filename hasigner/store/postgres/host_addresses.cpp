#include "hasigner/store/postgres/host_addresses.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>

namespace hasigner::postgres {
namespace {

bool needs_resolving(const ServerAddress& server) {
  if (!server.host_address.empty() || server.host.empty() || server.host.starts_with('/') ||
      server.host.starts_with('@'))
    return false;
  boost::system::error_code not_an_address;
  asio::ip::make_address(server.host, not_an_address);
  return static_cast<bool>(not_an_address);
}

struct Resolution {
  explicit Resolution(asio::any_io_executor executor) : resolver(executor), timer(executor) {}
  asio::ip::tcp::resolver resolver;
  asio::steady_timer timer;
  bool done = false;
  boost::system::error_code error;
  asio::ip::tcp::resolver::results_type results;
};

using Addresses = std::expected<std::vector<ServerAddress>, ConnectFailure>;

asio::awaitable<void> start_and_wait(std::shared_ptr<Resolution> resolution, std::string host, MonotonicTime deadline) {
  resolution->timer.expires_at(deadline);
  resolution->resolver.async_resolve(host, "", [resolution](auto error, auto results) {
    resolution->done = true;
    resolution->error = error;
    resolution->results = std::move(results);
    resolution->timer.cancel();
  });
  boost::system::error_code ignored;
  co_await resolution->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

ConnectFailure failure_of(const Resolution& resolution, const ServerAddress& server) {
  const std::string host = "host \"" + printable(server.host) + "\"";
  if (!resolution.done) return {.message = host + " could not be resolved in time: the name service does not answer"};
  const bool unknown = resolution.error == asio::error::host_not_found || resolution.error == asio::error::no_data;
  return {.permanent = unknown,
          .message = host + (unknown ? " is unknown: " : " could not be resolved: ") + resolution.error.message()};
}

}  // namespace

asio::awaitable<Addresses> resolve(asio::any_io_executor executor, ServerAddress server, MonotonicTime deadline,
                                   std::shared_ptr<ConnectProgress> progress) {
  if (!needs_resolving(server)) co_return std::vector<ServerAddress>{server};
  auto resolution = std::make_shared<Resolution>(executor);
  progress->interrupt = [weak = std::weak_ptr(resolution)] {
    if (const auto waiting = weak.lock()) waiting->timer.cancel();
  };
  co_await start_and_wait(resolution, server.host, deadline);
  if (!resolution->done || resolution->error) co_return std::unexpected(failure_of(*resolution, server));
  std::vector<ServerAddress> addresses;
  for (const auto& entry : resolution->results) {
    ServerAddress address = server;
    address.host_address = entry.endpoint().address().to_string();
    addresses.push_back(std::move(address));
  }
  co_return addresses;
}

}  // namespace hasigner::postgres
