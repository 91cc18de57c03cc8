#include "hasigner/service/health_watch.hpp"

#include <gtest/gtest.h>

#include "hasigner/factory/ha_node.hpp"

namespace hasigner::service {
namespace {

/// The answers are those of an Aztec node: `OK` up to 5.1, the objects from 5.2 on.
TEST(HealthOfAnAnswer, is_good_with_status_200_unless_the_body_says_otherwise) {
  for (const auto* body : {"OK", "", "{}", "[false]", "{\"ok\": \"false\"}",
                           R"({"ok":true,"components":{"p2p":{"healthy":true,"enabled":true,"connectedPeers":7}}})"}) {
    EXPECT_TRUE(health_of({200, body})) << body;
  }
  for (const unsigned status : {500U, 503U, 302U, 204U, 404U}) {
    const auto outcome = health_of({status, "OK"});
    ASSERT_FALSE(outcome) << status;
    EXPECT_EQ(outcome.error(), "the health URL answered with HTTP status " + std::to_string(status));
  }
  const auto not_ok = health_of({200, R"({"ok":false,"components":{"p2p":{"healthy":false,"connectedPeers":0}}})"});
  ASSERT_FALSE(not_ok);
  EXPECT_EQ(not_ok.error(), "the health URL answered that the node is not ok");
}

TEST(HealthUrl, that_cannot_be_used_is_refused_without_its_password) {
  const HealthCheck check{.url = "ftp://user:s3cret@host/", .rules = {}};
  try {
    (void)ask_once(check, std::nullopt);
    FAIL();
  } catch (const StartupError& error) {
    EXPECT_EQ(std::string(error.what()).find("s3cret"), std::string::npos) << error.what();
  }
}

TEST(HealthUrl, where_nothing_listens_fails) {
  // Port 9 (discard) of the loopback interface; connections to it are refused.
  const auto outcome = ask_once({.url = "http://127.0.0.1:9/status", .rules = {}}, std::nullopt);
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().starts_with("the health URL cannot be connected to")) << outcome.error();
}

}  // namespace
}  // namespace hasigner::service
