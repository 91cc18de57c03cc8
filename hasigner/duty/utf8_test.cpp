#include "hasigner/duty/utf8.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

TEST(Utf8, trims_white_space_at_the_edges_as_javascript_does) {
  EXPECT_EQ(trimmed("postgresql://h/d\n"), "postgresql://h/d");
  EXPECT_EQ(trimmed(" \t\r\n a b \r\n"), "a b");
  EXPECT_EQ(trimmed("\u00a0\ufeff\u2028a\u3000\u200a"), "a");
  EXPECT_EQ(trimmed("\u00e9 \u00e9"), "\u00e9 \u00e9");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(trimmed(""), "");
  // Not white space: a zero-width space, a control character, bytes that are not UTF-8.
  for (const auto* text : {"\u200ba", "\x01", "a\xa0", "\xff ", "\x80"}) {
    const std::string_view whole(text);
    EXPECT_EQ(trimmed(whole), whole == "\xff " ? "\xff" : whole);
  }
}

}  // namespace
}  // namespace hasigner
