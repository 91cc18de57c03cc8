#include "hasigner/service/listen_address.hpp"

#include <sys/un.h>

#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <optional>

namespace hasigner::service {

namespace {

using boost::asio::ip::make_address;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kAllowed =
    "comma-separated addresses, each IP:PORT ([IP]:PORT for IPv6) or unix:PATH with a path of at most 107 bytes";

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<ListenAddress> parse_one(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    const auto path = text.substr(kUnixPrefix.size());
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path) || path.contains('\0')) return std::nullopt;
    return UnixAddress{std::string(path)};
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto port = parse_port(text.substr(colon + 1));
  boost::system::error_code error;
  const auto address = make_address(std::string(host), error);
  if (!port || error || bracketed != address.is_v6()) return std::nullopt;
  return TcpAddress{address.to_string(), *port};
}

}  // namespace

Parsed<std::vector<ListenAddress>> parse_listen_addresses(std::string_view text, std::string_view field) {
  std::vector<ListenAddress> addresses;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto one = parse_one(text.substr(begin, end - begin));
    if (!one) return std::unexpected(InvalidInput{std::string(field), printable(text, 200), std::string(kAllowed)});
    addresses.push_back(*one);
    begin = end + 1;
  }
  return addresses;
}

bool is_local(const ListenAddress& address) {
  const auto* const tcp = std::get_if<TcpAddress>(&address);
  return !tcp || make_address(tcp->host).is_loopback();
}

std::string to_string(const ListenAddress& address) {
  if (const auto* const path = std::get_if<UnixAddress>(&address)) return std::string(kUnixPrefix) + path->path;
  const auto& tcp = std::get<TcpAddress>(address);
  const bool is_v6 = tcp.host.contains(':');
  return (is_v6 ? "[" + tcp.host + "]" : tcp.host) + ":" + std::to_string(tcp.port);
}

}  // namespace hasigner::service
