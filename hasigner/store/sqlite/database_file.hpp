#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

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
  /// Effects: takes the right to write from other users, on the folder, the file and what stands beside it.
  /// Errors: a sentence that names the path and what to do; so where other users keep the right to write.
  [[nodiscard]] static std::expected<DatabaseFile, std::string> locate(const std::string& path);

  /// The file behind `path` if it is there, checked as locate() checks it; nullopt: it is not there, and can be made,
  /// with its folder where that is not there either. Makes and changes nothing: a right to write that locate() would
  /// take from other users is not an error.
  [[nodiscard]] static std::expected<std::optional<DatabaseFile>, std::string> look(const std::string& path);

  /// Absolute, without symbolic links.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Returns nullopt when the path still leads to the same file, and the log beside it is the one that was remembered.
  /// Otherwise a sentence that says what happened.
  [[nodiscard]] std::optional<std::string> changed() const;

  /// kInMemory: the connection has the file for itself, so that its log has no index file.
  enum class LogIndex : std::uint8_t { kFile, kInMemory };

  /// Remembers the write-ahead log and its index, which are there while a connection is open that has read: what stands
  /// only in a log that another file has replaced is lost at the next crash. Gives what changed() gives.
  [[nodiscard]] std::optional<std::string> remember_log(LogIndex index = LogIndex::kFile);
  /// To be called before the last connection is closed, which removes the log.
  void forget_log() { log_.clear(); }

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  struct LogFile {
    std::string path;
    Identity identity;
  };
  enum class Rights : std::uint8_t { kTakeFromOthers, kOnlyLook };
  [[nodiscard]] static std::expected<DatabaseFile, std::string> checked(std::string asked, std::string resolved,
                                                                        Rights rights);
  [[nodiscard]] static std::expected<Identity, int> identity_of(const std::string& path);

  std::string asked_;  ///< absolute, as it was asked for: a symbolic link may be turned elsewhere
  std::string path_;
  Identity identity_;
  std::vector<LogFile> log_;  ///< none: not remembered
};

}  // namespace hasigner::sqlite
