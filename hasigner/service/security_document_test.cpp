#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/routes.hpp"

namespace hasigner::service {
namespace {

/// The first two columns of the table behind the line `<!-- NAME -->` of docs/security.md.
std::map<std::string, std::string> table_of_page(const std::string& name) {
  std::ifstream page(HASIGNER_SOURCE_DIR "/docs/security.md");
  if (!page) throw std::runtime_error("docs/security.md cannot be read");
  std::string line;
  while (std::getline(page, line) && line != "<!-- " + name + " -->") {
  }
  std::map<std::string, std::string> table;
  while (std::getline(page, line) && line.starts_with("|")) {
    const auto second = line.find('|', 1), third = line.find('|', second + 1);
    const auto first = line.substr(2, second - 3);
    if (!first.starts_with("`")) continue;
    table[first.substr(1, first.size() - 2)] = line.substr(second + 2, third - second - 3);
  }
  return table;
}

std::string access_of(const Route& route) {
  if (route.access == Access::kOpen) return "everyone";
  return route.right ? "`" + std::string(to_string(*route.right)) + "`" : "any client";
}

TEST(SecurityDocument, has_the_routes_and_their_rights) {
  const auto page = table_of_page("routes");
  EXPECT_EQ(page.size(), routes().size());
  for (const auto& route : routes()) {
    const auto name = std::string(route.method) + " " + std::string(route.path);
    ASSERT_TRUE(page.contains(name)) << name;
    EXPECT_TRUE(page.at(name).starts_with(access_of(route))) << name << ": " << page.at(name);
  }
}

TEST(SecurityDocument, has_the_limits_and_their_defaults) {
  const HttpLimits limits;
  const auto ms = [](std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; };
  const auto number = [](std::size_t value) { return std::to_string(value); };
  const std::map<std::string, std::string> code = {
      {"connections", number(limits.connections)},
      {"connections_of_a_peer", number(limits.connections_of_a_peer)},
      {"handshake_timeout", ms(limits.handshake_timeout)},
      {"first_byte_timeout", ms(limits.first_byte_timeout)},
      {"header_timeout", ms(limits.header_timeout)},
      {"body_timeout", ms(limits.body_timeout)},
      {"idle_timeout", ms(limits.idle_timeout)},
      {"write_timeout", ms(limits.write_timeout)},
      {"stall_timeout", ms(limits.stall_timeout)},
      {"header_bytes", number(limits.header_bytes)},
      {"body_bytes", number(limits.body_bytes)},
      {"all_body_bytes", number(limits.all_body_bytes)},
      {"answer_bytes", number(limits.answer_bytes)},
      {"all_answer_bytes", number(limits.all_answer_bytes)},
      {"uncounted_bytes", number(limits.uncounted_bytes)},
      {"requests_in_flight", number(limits.requests_in_flight)},
      {"event_streams", number(limits.event_streams)},
      {"event_bytes", number(limits.event_bytes)},
  };
  // A limit that is added belongs into both.
  static_assert(sizeof(HttpLimits) == 18 * 8);
  const auto page = table_of_page("limits");
  EXPECT_EQ(page.size(), code.size());
  for (const auto& [name, value] : code) {
    ASSERT_TRUE(page.contains(name)) << name;
    const auto& shown = page.at(name);
    const auto rest = shown.substr(std::min(value.size(), shown.size()));
    EXPECT_TRUE(shown.starts_with(value) && (rest.empty() || rest[0] == ' ' || rest[0] == ','))
        << name << ": " << shown;
  }
}

}  // namespace
}  // namespace hasigner::service
