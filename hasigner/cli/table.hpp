#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace hasigner::cli {

/// A column of a table for people.
struct Column {
  std::string heading;
  bool right = false;       ///< numbers stand right
  std::size_t least = 8;    ///< columns to which it may be cut when the terminal is narrow
  bool cut_middle = false;  ///< for hex: both ends tell more than the beginning alone
  bool can_drop = false;    ///< on a terminal too narrow for all columns, the last of these goes first
};

/// Prints rows under headings; `width` 0 lets every cell have its full length.
///
/// Text is made printable. Widths are those of characters, each taken for one column wide.
void print_table(std::ostream& out, std::vector<Column> columns, std::vector<std::vector<std::string>> rows,
                 std::size_t width);

}  // namespace hasigner::cli
