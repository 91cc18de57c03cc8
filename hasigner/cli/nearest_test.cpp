#include "hasigner/cli/nearest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hasigner::cli {
namespace {

const std::vector<std::string> kCommands = {"sign", "check", "duties", "migrate", "watermark"};

TEST(Nearest, finds_the_word_behind_a_slip_of_the_finger) {
  EXPECT_EQ(nearest("sgin", kCommands), "sign");        // swapped
  EXPECT_EQ(nearest("dutie", kCommands), "duties");     // missing
  EXPECT_EQ(nearest("checkk", kCommands), "check");     // too many
  EXPECT_EQ(nearest("migrote", kCommands), "migrate");  // replaced
}

TEST(Nearest, finds_the_word_that_was_begun) {
  EXPECT_EQ(nearest("water", kCommands), "watermark");
}

TEST(Nearest, suggests_nothing_that_is_far) {
  EXPECT_EQ(nearest("launch", kCommands), std::nullopt);
  EXPECT_EQ(nearest("", kCommands), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'x'), kCommands), std::nullopt);
  EXPECT_EQ(nearest("sign", {}), std::nullopt);
}

}  // namespace
}  // namespace hasigner::cli
