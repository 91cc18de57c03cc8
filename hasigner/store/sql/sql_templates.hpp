#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasigner::sql {

/// An SQL file that is part of the program. `name` is its path below its store's folder sql/, without `.sql`.
struct SqlFile {
  std::string_view name;
  std::string_view text;
};

/// How the duties of a batch are given to its statement: one array a column, or, for a batch of one, plain values.
enum class BatchForm : std::uint8_t { kMany, kOne };

/// The conditions under which parts of a file belong to the statement.
struct SqlVariant {
  int schema_version = 1;
  BatchForm form = BatchForm::kMany;
};

/// Statements made of SQL files: files in the folder itself are statements, files in fragments/ are parts of them.
///
/// A part in braces stands for something else:
/// - `{name}`: the file fragments/name.sql;
/// - `{from v2: text}`, `{below v2: text}`: the text, for these versions of the shared tables;
/// - `{one: text}`, `{many: text}`: the text, in this form of a batch;
/// - `{batch: $1::text rollup, $2::bigint slot, …}`: the elements of a batch as the rows `k`, with these columns and
/// the
///   position `ord`, from 1.
///
/// Errors: std::invalid_argument with the name of the file and what is wrong in it.
/// Ownership: the texts of the files must outlive this object.
/// Thread safety: a constant object may be used by several threads.
class SqlTemplates {
 public:
  explicit SqlTemplates(std::span<const SqlFile> files);

  /// The statement as it is sent: without comments, and without line breaks.
  [[nodiscard]] std::string statement(std::string_view name, const SqlVariant& variant = {}) const;

  /// The same statement as people read it: with the comments of its file, and with line breaks.
  [[nodiscard]] std::string readable(std::string_view name, const SqlVariant& variant = {}) const;

  /// The names of all statements, in alphabetical order.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  class Expansion;
  std::map<std::string_view, std::string_view> statements_;
  std::map<std::string_view, std::string_view> fragments_;
};

}  // namespace hasigner::sql
