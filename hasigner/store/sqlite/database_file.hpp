#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>

namespace hasigner::sqlite {

/// The file of a database: found or made, and remembered, so that another file in its place is noticed.
///
/// A database that is restored or swept away under a running node would let it sign what it has signed before.
/// The file is never opened here: closing any descriptor of it would drop SQLite's locks of other connections in this
/// process.
class DatabaseFile {
 public:
  /// Finds the file behind `path`, or makes an empty one that only this user may read and write.
  ///
  /// Errors: a sentence that names the path and what to do.
  [[nodiscard]] static std::expected<DatabaseFile, std::string> locate(const std::string& path);

  /// Absolute, without symbolic links.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Nothing: the path still leads to the same file. Otherwise a sentence that says what happened.
  [[nodiscard]] std::optional<std::string> changed() const;

 private:
  std::string asked_;  ///< absolute, as it was asked for: a symbolic link may be turned elsewhere
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace hasigner::sqlite
