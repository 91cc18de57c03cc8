#include "hasigner/service/host_names.hpp"

#include <gtest/gtest.h>

namespace hasigner::service {
namespace {

TEST(HostNames, knows_loopback_the_listening_addresses_and_what_the_operator_adds) {
  const HostNames names({TcpAddress{"192.0.2.1", 9000}, TcpAddress{"2001:db8::1", 9000}, UnixAddress{"/socket"}},
                        {"Signer.example"});
  for (const auto* const host : {"localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:9000", "127.1.2.3", "[::1]",
                                 "[::1]:9000", "192.0.2.1:9000", "[2001:db8::1]:9000", "signer.example:80"}) {
    EXPECT_TRUE(names.contains(host)) << host;
  }
  for (const auto* const host :
       {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil", "192.0.2.2",
        "[2001:db8::2]", "signer.example.evil", "/socket", "[", "[]", ":9000", "2130706433", "0x7f000001", "127.1"}) {
    EXPECT_FALSE(names.contains(host)) << host;
  }
}

TEST(HostNames, reads_names_without_ports) {
  EXPECT_EQ(parse_host_names("a.example, b", "x").value(), (std::vector<std::string>{"a.example", "b"}));
  for (const auto* const text : {"", "a,", "a b", "http://a", "a/b", "*"}) {
    const auto read = parse_host_names(text, "--allowed-hosts");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().field, "--allowed-hosts");
  }
}

}  // namespace
}  // namespace hasigner::service
