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
std::string fitted(const std::string& text, std::size_t width, const Column& column) {
  const std::size_t count = characters_in(text);
  if (count <= width) return text;
  const std::size_t kept = width > 2 ? width - 2 : 0;
  const std::size_t tail = column.cut_middle ? kept / 2 : 0;
  const std::string_view tail_text = std::string_view(text).substr(first_characters(text, count - tail).size());
  return std::string(first_characters(text, kept - tail)) + ".." + std::string(tail_text);
}

using Rows = std::vector<std::vector<std::string>>;

std::size_t total(const std::vector<std::size_t>& widths) {
  return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
}

std::size_t least_width(const Column& column) {
  return std::max(column.least, column.heading.size());
}

std::vector<std::size_t> natural_widths(const std::vector<Column>& columns, const Rows& rows) {
  std::vector<std::size_t> widths;
  widths.reserve(columns.size());
  for (const auto& column : columns) widths.push_back(column.heading.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], characters_in(row[i]));
  }
  return widths;
}

/// Removes columns until the others fit, or none is left that may be removed.
void drop_columns(std::vector<Column>& columns, Rows& rows, std::size_t width) {
  while (true) {
    auto widths = natural_widths(columns, rows);
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::min(widths[i], least_width(columns[i]));
    if (total(widths) <= width) return;
    const auto last =
        std::find_if(columns.rbegin(), columns.rend(), [](const Column& column) { return column.can_drop; });
    if (last == columns.rend()) return;
    const auto column = columns.rend() - last - 1;
    columns.erase(columns.begin() + column);
    for (auto& row : rows) row.erase(row.begin() + column);
  }
}

/// Narrows the widest column that can still shrink, until all fit.
std::vector<std::size_t> fitted_widths(const std::vector<Column>& columns, const Rows& rows, std::size_t width) {
  auto widths = natural_widths(columns, rows);
  while (total(widths) > width) {
    std::size_t widest = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool can_shrink = widths[i] > least_width(columns[i]);
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
    const std::string cell = fitted(cells[i], widths[i], columns[i]);
    const std::string padding(widths[i] - characters_in(cell), ' ');
    line += (i > 0 ? std::string(kGap, ' ') : "") + (columns[i].right ? padding + cell : cell + padding);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

}  // namespace

void print_table(std::ostream& out, std::vector<Column> columns, Rows rows, std::size_t width) {
  for (auto& row : rows) {
    for (auto& cell : row) cell = printable(cell, kLongestCell);
  }
  if (width > 0) drop_columns(columns, rows, width);
  const auto widths = width > 0 ? fitted_widths(columns, rows, width) : natural_widths(columns, rows);
  std::vector<std::string> headings;
  headings.reserve(columns.size());
  for (const auto& column : columns) headings.push_back(column.heading);
  print_row(out, columns, headings, widths);
  for (const auto& row : rows) print_row(out, columns, row, widths);
}

}  // namespace hasigner::cli
