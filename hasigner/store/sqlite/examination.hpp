#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace hasigner::sqlite {

/// What is in a database file.
struct ExaminedFile {
  struct Node {
    std::string node_id, registered_at, heartbeat_at;  ///< times in UTC
    bool alive = false;
  };
  struct Validator {
    std::string address;  ///< in lower case
    std::string node_id;  ///< under which a duty of it stands; empty: it has a watermark
  };
  bool is_empty = false;     ///< nothing was ever written to it
  std::int64_t version = 0;  ///< of its tables
  /// What of the schema is not as migrations make it, such as `trigger odd is not ha-signer's`. The rest was not read
  /// then.
  std::vector<std::string> differences;
  std::vector<Node> nodes;
  std::vector<Validator> validators;  ///< of the rollup, in the newest rows
  bool has_lock_file = false;         ///< the file beside it that nodes are known to be alive by
  std::optional<std::int64_t>
      made_at;  ///< Unix time at which this file was made; nullopt: the file system does not say
};

/// Reads the file behind `path`, which is absolute and there, without a change to it, also while nodes work on it.
///
/// Errors: a sentence, `what is wrong; what mends it`: it is not a database of this program, or damaged.
[[nodiscard]] std::expected<ExaminedFile, std::string> examine_file(const std::string& path, const std::string& rollup);

/// Whether another process has the file for itself, as a node has its journal. False also where that cannot be seen.
///
/// This process must not have the file open: its locks would be lost.
[[nodiscard]] bool is_held(const std::string& path);

}  // namespace hasigner::sqlite
