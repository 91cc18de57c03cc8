#include "hasigner/store/sql/sql_templates.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>

namespace hasigner::sql {
namespace {

constexpr std::string_view kFragments = "fragments/";
constexpr std::string_view kBlanks = " \n";
/// More levels of fragments than any statement needs: a fragment must be naming itself.
constexpr int kMostLevels = 16;

enum class Comments : std::uint8_t { kKeep, kLeaveOut };

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  const std::size_t end = text.find_last_not_of(kBlanks);
  return end == std::string_view::npos ? std::string_view() : text.substr(begin, end + 1 - begin);
}

/// Where a quoted text or name that begins at `begin` ends. A quote within it is doubled, and so begins the next one.
std::size_t end_of_quoted(std::string_view text, std::size_t begin) {
  const std::size_t end = text.find(text[begin], begin + 1);
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::size_t end_of_line(std::string_view text, std::size_t begin) {
  return std::min(text.find('\n', begin), text.size());
}

bool is_quote(char character) {
  return character == '\'' || character == '"';
}

bool begins_comment(std::string_view text, std::size_t at) {
  return text.substr(at).starts_with("--");
}

/// Where the part in braces that begins at `begin` ends, or nullopt when its closing brace is missing.
std::optional<std::size_t> end_of_braces(std::string_view text, std::size_t begin) {
  int open = 0;
  for (std::size_t i = begin; i < text.size();) {
    if (is_quote(text[i])) {
      i = end_of_quoted(text, i);
      continue;
    }
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return i + 1;
    ++i;
  }
  return std::nullopt;
}

/// Puts one space instead of each line break and the indentation after it.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = end_of_line(text, i);
    line += trimmed(text.substr(i, end - i));
    i = std::min(text.find_first_not_of(kBlanks, end), text.size());
    if (i < text.size()) line += ' ';
  }
  return line;
}

std::size_t indentation_of_last_line(std::string_view text) {
  const std::size_t line = text.rfind('\n') + 1;
  return std::min(text.find_first_not_of(' ', line), text.size()) - line;
}

std::string indented(std::string_view text, std::size_t indentation) {
  std::string result;
  for (const char character : text) {
    result += character;
    if (character == '\n') result.append(indentation, ' ');
  }
  return result;
}

/// A column of a batch, as `$1::text rollup`.
struct Column {
  std::string_view value;
  std::string_view name;
};

std::vector<Column> columns_of(std::string_view list) {
  std::vector<Column> columns;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view column = trimmed(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    const std::size_t blank = std::min(column.find(' '), column.size());
    columns.push_back({column.substr(0, blank), trimmed(column.substr(blank))});
  }
  return columns;
}

/// Arrays are read as scalar subqueries, because the planner then does not know how many elements they have, and plans
/// for few: the plan is the same for every size of batch.
std::string batch_of_many(const std::vector<Column>& columns) {
  std::string values;
  std::string names;
  for (const Column& column : columns) {
    if (!values.empty()) values += ", ";
    values += "(select " + std::string(column.value) + "[])";
    names += std::string(column.name) + ", ";
  }
  return "unnest(" + values + ") with ordinality as k (" + names + "ord)";
}

/// A single element is its own parameters, which costs a third less than arrays of one.
std::string batch_of_one(const std::vector<Column>& columns) {
  std::string values;
  for (const Column& column : columns) values += std::string(column.value) + " as " + std::string(column.name) + ", ";
  return "(select " + values + "1::bigint as ord) as k";
}

}  // namespace

/// One expansion of one statement.
class SqlTemplates::Expansion {
 public:
  Expansion(const SqlTemplates& templates, std::string_view name, const SqlVariant& variant)
      : templates_(templates), name_(name), variant_(variant) {}

  std::string text(std::string_view source, Comments comments, int level = 0) const {
    if (level > kMostLevels) refuse("a fragment contains itself");
    std::string result;
    for (std::size_t i = 0; i < source.size();) {
      std::size_t end = i + 1;
      if (begins_comment(source, i)) {
        end = end_of_line(source, i);
        if (comments == Comments::kKeep) result += source.substr(i, end - i);
      } else if (is_quote(source[i])) {
        end = end_of_quoted(source, i);
        result += source.substr(i, end - i);
      } else if (source[i] == '{') {
        end = end_of_braces(source, i).value_or(0);
        if (end == 0) refuse("a brace is not closed");
        const std::string part = in_braces(source.substr(i + 1, end - i - 2), level + 1);
        result += indented(part, indentation_of_last_line(result));
      } else {
        result += source[i];
      }
      i = end;
    }
    return std::string(trimmed(result));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument("the SQL statement " + std::string(name_) + " cannot be expanded: " + what);
  }

 private:
  [[nodiscard]] std::string in_braces(std::string_view inside, int level) const {
    const std::size_t colon = inside.find(": ");
    if (colon == std::string_view::npos) return fragment(inside, level);
    const std::string_view condition = inside.substr(0, colon);
    const std::string_view body = inside.substr(colon + 2);
    if (condition == "batch") return batch(body, level);
    if (!holds(condition)) return {};
    return text(body, Comments::kLeaveOut, level);
  }

  [[nodiscard]] std::string fragment(std::string_view fragment_name, int level) const {
    const auto found = templates_.fragments_.find(fragment_name);
    if (found == templates_.fragments_.end()) refuse("there is no fragment " + std::string(fragment_name));
    return text(found->second, Comments::kLeaveOut, level);
  }

  [[nodiscard]] std::string batch(std::string_view list, int level) const {
    const std::string expanded = on_one_line(text(list, Comments::kLeaveOut, level));
    const std::vector<Column> columns = columns_of(expanded);
    switch (variant_.form) {
      case BatchForm::kMany: return batch_of_many(columns);
      case BatchForm::kOne: return batch_of_one(columns);
    }
    refuse("the form of the batch is unknown");
  }

  [[nodiscard]] bool holds(std::string_view condition) const {
    if (condition == "one") return variant_.form == BatchForm::kOne;
    if (condition == "many") return variant_.form == BatchForm::kMany;
    if (const auto version = version_after("from v", condition)) return variant_.schema_version >= *version;
    if (const auto version = version_after("below v", condition)) return variant_.schema_version < *version;
    refuse("{" + std::string(condition) + ": …} is not a known condition");
  }

  /// Returns nullopt when the condition is of another kind.
  static std::optional<int> version_after(std::string_view words, std::string_view condition) {
    if (!condition.starts_with(words)) return std::nullopt;
    condition.remove_prefix(words.size());
    int version = 0;
    const auto [end, error] = std::from_chars(condition.data(), condition.data() + condition.size(), version);
    if (error != std::errc() || end != condition.data() + condition.size()) return std::nullopt;
    return version;
  }

  const SqlTemplates& templates_;
  std::string_view name_;
  SqlVariant variant_;
};

SqlTemplates::SqlTemplates(std::span<const SqlFile> files) {
  for (const SqlFile& file : files) {
    if (file.name.starts_with(kFragments)) {
      fragments_[file.name.substr(kFragments.size())] = file.text;
    } else {
      statements_[file.name] = file.text;
    }
  }
}

std::string SqlTemplates::statement(std::string_view name, const SqlVariant& variant) const {
  const Expansion expansion(*this, name, variant);
  const auto found = statements_.find(name);
  if (found == statements_.end()) expansion.refuse("there is no file of this name");
  return on_one_line(expansion.text(found->second, Comments::kLeaveOut));
}

std::string SqlTemplates::readable(std::string_view name, const SqlVariant& variant) const {
  const Expansion expansion(*this, name, variant);
  const auto found = statements_.find(name);
  if (found == statements_.end()) expansion.refuse("there is no file of this name");
  return expansion.text(found->second, Comments::kKeep);
}

std::vector<std::string> SqlTemplates::names() const {
  std::vector<std::string> names;
  for (const auto& [name, text] : statements_) names.emplace_back(name);
  return names;
}

}  // namespace hasigner::sql
