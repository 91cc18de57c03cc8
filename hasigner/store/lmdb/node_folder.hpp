#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "hasigner/protection/history.hpp"

namespace hasigner::lmdb {

/// Why the folder cannot be read: a sentence that names it and says what to do.
struct FolderError {
  enum class Kind : std::uint8_t {
    kInUse,       ///< a node works on it
    kUnreadable,  ///< damaged, of a newer version, of another kind, or not permitted
  };
  Kind kind = Kind::kUnreadable;
  std::string sentence;
};

template <class T>
using FolderResult = std::expected<T, FolderError>;

/// The protection history of one published node (5.x with HA signing off), as its folder `signing-protection` holds it.
struct NodeHistory {
  HistorySnapshot snapshot;  ///< duties, in the order of their keys; there are no watermarks
  std::string state;         ///< as state_of()
  bool has_version = true;   ///< false: the file db_version is missing, so that the node would have begun anew
};

/// Which state the history in a folder has: another text once a node has written to it. Nullopt: the folder does not
/// exist or is empty.
[[nodiscard]] FolderResult<std::optional<std::string>> state_of(const std::string& folder);

/// Reads the whole history. It stays as it is: no file is written, made or locked.
///
/// A node that works on the folder is noticed, before and after the reading, by the kernel's lock on the file lock.mdb
/// that every LMDB process holds: on this machine, in whatever container it runs, and on NFS with locks; not on another
/// machine that shares the folder in another way.
/// Errors: FolderError, also for a folder without a history. All or nothing: one duty that cannot be read is an error.
[[nodiscard]] FolderResult<NodeHistory> read_history(const std::string& folder);

}  // namespace hasigner::lmdb
