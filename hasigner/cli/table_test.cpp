#include "hasigner/cli/table.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace hasigner::cli {
namespace {

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows,
                  std::size_t width) {
  std::ostringstream out;
  print_table(out, columns, rows, width);
  return out.str();
}

TEST(Table, columns_are_as_wide_as_their_widest_cell) {
  EXPECT_EQ(table({{.heading = "N", .right = true}, {.heading = "NAME"}}, {{"7", "seven"}, {"100", "x"}}, 0),
            "  N  NAME\n  7  seven\n100  x\n");
}

TEST(Table, the_widest_cells_give_way_on_a_narrow_terminal) {
  EXPECT_EQ(table({{.heading = "A", .least = 4}, {.heading = "B", .least = 4}}, {{"short", "0123456789abcdef"}}, 15),
            "A      B\nshort  012345..\n");
  EXPECT_EQ(table({{.heading = "HASH", .least = 4, .cut_middle = true}}, {{"0x1234567890abcdef"}}, 10),
            "HASH\n0x12..cdef\n");
}

TEST(Table, a_column_is_never_cut_below_its_least_width) {
  EXPECT_EQ(table({{.heading = "A", .least = 6}}, {{"0123456789"}}, 3), "A\n0123..\n");
}

TEST(Table, columns_that_may_go_go_when_even_their_least_width_is_too_much) {
  const std::vector<Column> columns = {
      {.heading = "A", .least = 4}, {.heading = "B", .least = 4, .can_drop = true}, {.heading = "C", .least = 4}};
  const std::vector<std::vector<std::string>> rows = {{"aaaaaaaa", "bbbbbbbb", "cccccccc"}};
  EXPECT_EQ(table(columns, rows, 16), "A     B     C\naa..  bb..  cc..\n");
  EXPECT_EQ(table(columns, rows, 15), "A       C\naaaa..  ccccc..\n");
}

TEST(Table, what_a_terminal_might_obey_is_not_printed) {
  EXPECT_EQ(table({{"A"}}, {{"a\x1b[2J"}}, 0), "A\na?[2J\n");
}

TEST(Table, characters_are_counted_not_bytes) {
  EXPECT_EQ(table({{"A"}, {"B"}}, {{"é", "x"}, {"ab", "y"}}, 0), "A   B\né   x\nab  y\n");
  EXPECT_EQ(table({{.heading = "A", .least = 4}}, {{"éééééé"}}, 5), "A\nééé..\n");
}

}  // namespace
}  // namespace hasigner::cli
