#include "hasigner/keys/remote_url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasigner::keys {
namespace {

RemoteUrl parsed(std::string_view text) {
  const auto url = RemoteUrl::parse(text, "url");
  if (!url) throw std::runtime_error(url.error().message());
  return *url;
}

TEST(RemoteUrl, tells_where_requests_go) {
  const auto url = parsed("https://signer.example:9000/rpc?chain=1#here");
  EXPECT_TRUE(url.is_tls);
  EXPECT_EQ(url.host, "signer.example");
  EXPECT_EQ(url.port, "9000");
  EXPECT_EQ(url.host_header, "signer.example:9000");
  EXPECT_EQ(url.target, "/rpc?chain=1");
  EXPECT_EQ(url.authorization, nullptr);
}

TEST(RemoteUrl, takes_what_is_left_out_from_the_scheme) {
  const auto plain = parsed("http://signer");
  EXPECT_FALSE(plain.is_tls);
  EXPECT_EQ(plain.port, "80");
  EXPECT_EQ(plain.host_header, "signer");
  EXPECT_EQ(plain.target, "/");
  EXPECT_EQ(parsed("https://signer/").port, "443");
  EXPECT_EQ(parsed("HTTPS://signer:443").host_header, "signer");
}

TEST(RemoteUrl, knows_addresses_of_both_kinds) {
  EXPECT_EQ(parsed("http://127.0.0.1:9000").host, "127.0.0.1");
  const auto v6 = parsed("https://[::1]:9000");
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.host_header, "[::1]:9000");
}

TEST(RemoteUrl, sends_user_and_password_as_a_header) {
  // The example of RFC 7617, its space escaped as in a URL.
  const auto url = parsed("https://Aladdin:open%20sesame@signer");
  ASSERT_NE(url.authorization, nullptr);
  EXPECT_EQ(url.authorization->view(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  EXPECT_EQ(url.host_header, "signer");
}

TEST(RemoteUrl, refuses_what_is_none_and_shows_nothing_of_it) {
  for (const std::string text :
       {"", "signer", "ftp://signer", "http:signer", "http://", "http:///rpc", "http://user:secret@", "http://a b",
        "http://signer:99999", "http://signer:port", "http://signer:12a", "http://[::1", "http://a\r\nb",
        "https://x%00y", "http://x%0d%0ay"}) {
    const auto url = RemoteUrl::parse(text, "the field");
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().field, "the field");
    EXPECT_THAT(url.error().message(), testing::Not(testing::HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace hasigner::keys
