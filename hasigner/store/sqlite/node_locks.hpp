#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hasigner/store/sqlite/closed_in_children.hpp"

namespace hasigner::sqlite {

/// Who is alive, as the kernel knows it: one byte of a file beside the database for each node id, locked by the process
/// that runs the node. A killed process's lock is gone at once.
///
/// The locks belong to this object's own descriptor ("open file description" locks), so two stores of one process are
/// told apart, and a close() elsewhere does not drop them. A forked child has none of them and can take none: it must
/// open the store anew. Thread safety: one thread at a time.
class NodeLocks {
 public:
  /// Opens or makes `path`, readable and writable for this user only. Errors: a sentence.
  [[nodiscard]] static std::expected<std::unique_ptr<NodeLocks>, std::string> open(const std::string& path);
  /// The numbers among these that a process holds at the moment, in a file that may not be there. Makes nothing.
  [[nodiscard]] static std::set<std::int64_t> held_in(const std::string& path,
                                                      const std::vector<std::int64_t>& numbers);
  ~NodeLocks();
  NodeLocks(const NodeLocks&) = delete;
  NodeLocks& operator=(const NodeLocks&) = delete;

  /// Returns false when another process holds it.
  [[nodiscard]] bool take(std::int64_t number);
  void release(std::int64_t number);
  [[nodiscard]] bool holds(std::int64_t number) const { return held_.contains(number); }
  /// Whether it is held, by this object or another process.
  [[nodiscard]] bool is_held(std::int64_t number) const;

  /// Tells other processes that this one waits for the database's write lock, which SQLite gives to the process that
  /// asks at the right moment: one that writes without pause would never let the others in.
  void announce_waiting();
  void stop_waiting();
  [[nodiscard]] bool others_wait() const;

  /// Returns nullopt when the path still leads to the file that is open.
  [[nodiscard]] std::optional<std::string> changed() const;

 private:
  explicit NodeLocks(std::string path);

  ClosedInChildren descriptor_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::set<std::int64_t> held_;
};

}  // namespace hasigner::sqlite
