#include "hasigner/cli/table.hpp"

#include <algorithm>
#include <numeric>
#include <ostream>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/duty/utf8.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kLongestCell = 4096;
constexpr std::size_t kGap = 2;

std::size_t characters_in(std::string_view text) {
  std::size_t count = 0;
  while (take_character(text)) ++count;
  return count;
}

std::string_view first_characters(std::string_view text, std::size_t count) {
  std::string_view rest = text;
  for (; count > 0 && take_character(rest); --count) {
  }
  return text.substr(0, text.size() - rest.size());
}

/// At most `width` characters of the text, with two dots where something is left out.
std::string fitted(const std::string& text, std::size_t width, bool cut_middle) {
  const std::size_t count = characters_in(text);
  if (count <= width) return text;
  const std::size_t kept = width > 2 ? width - 2 : 0;
  const std::size_t tail = cut_middle ? kept / 2 : 0;
  const std::string_view tail_text = std::string_view(text).substr(first_characters(text, count - tail).size());
  return std::string(first_characters(text, kept - tail)) + ".." + std::string(tail_text);
}

std::vector<std::size_t> widths_of(const std::vector<Column>& columns,
                                   const std::vector<std::vector<std::string>>& rows, std::size_t width) {
  std::vector<std::size_t> widths;
  for (const auto& column : columns) widths.push_back(column.heading.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], characters_in(row[i]));
  }
  const auto total = [&] { return std::accumulate(widths.begin(), widths.end(), kGap * (columns.size() - 1)); };
  while (width > 0 && total() > width) {
    // The widest column that can still give way loses one.
    std::size_t widest = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool can_shrink = widths[i] > std::max(columns[i].least, columns[i].heading.size());
      if (can_shrink && (widest == columns.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns.size()) break;
    --widths[widest];
  }
  return widths;
}

void print_row(std::ostream& out, const std::vector<Column>& columns, const std::vector<std::string>& cells,
               const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string cell = fitted(cells[i], widths[i], columns[i].cut_middle);
    const std::string padding(widths[i] - characters_in(cell), ' ');
    line += (i > 0 ? std::string(kGap, ' ') : "") + (columns[i].right ? padding + cell : cell + padding);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

}  // namespace

void print_table(std::ostream& out, const std::vector<Column>& columns,
                 const std::vector<std::vector<std::string>>& rows, std::size_t width) {
  std::vector<std::vector<std::string>> shown = rows;
  for (auto& row : shown) {
    for (auto& cell : row) cell = printable(cell, kLongestCell);
  }
  const auto widths = widths_of(columns, shown, width);
  std::vector<std::string> headings;
  for (const auto& column : columns) headings.push_back(column.heading);
  print_row(out, columns, headings, widths);
  for (const auto& row : shown) print_row(out, columns, row, widths);
}

}  // namespace hasigner::cli
