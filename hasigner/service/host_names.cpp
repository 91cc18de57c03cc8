#include "hasigner/service/host_names.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "hasigner/duty/utf8.hpp"

namespace hasigner::service {

namespace {

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (auto& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower;
}

/// Without the port, and without the brackets of an IPv6 address.
std::string_view name_of(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return std::ranges::count(host, ':') == 1 ? host.substr(0, host.find(':')) : host;
}

bool is_loopback(const std::string& name) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(name, error);
  return name == "localhost" || (!error && address.is_loopback());
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == ':';
  });
}

}  // namespace

HostNames::HostNames(const std::vector<ListenAddress>& addresses, const std::vector<std::string>& others) {
  for (const auto& address : addresses) {
    if (const auto* const tcp = std::get_if<TcpAddress>(&address)) names_.insert(in_lower_case(tcp->host));
  }
  for (const auto& name : others) names_.insert(in_lower_case(name));
}

bool HostNames::contains(std::string_view host) const {
  const auto name = in_lower_case(name_of(host));
  return is_loopback(name) || names_.contains(name);
}

Parsed<std::vector<std::string>> parse_host_names(std::string_view text, std::string_view field) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto name = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    if (!is_name(name)) {
      return std::unexpected(InvalidInput{std::string(field), printable(name),
                                          "host names or IP addresses without a port, comma-separated"});
    }
    names.emplace_back(name);
  }
  return names;
}

}  // namespace hasigner::service
