#pragma once

#include <map>
#include <string>
#include <vector>

#include "hasigner/protection/history.hpp"
#include "hasigner/store/rows/utc_time.hpp"
#include "hasigner/store/sqlite/connection.hpp"
#include "hasigner/store/sqlite/node_locks.hpp"

namespace hasigner::sqlite {

/// The node registry of a database: names and incarnations in its table, life in the file locks beside it.
///
/// Every function runs inside a transaction of the caller's. What was read is remembered until begin().
/// Thread safety: one thread at a time.
class Registry {
 public:
  Registry(Connection& connection, NodeLocks& locks);

  /// To be called when a transaction begins.
  void begin();

  /// Who holds a *signing* row with this node id and token.
  [[nodiscard]] HolderState holder_of(const std::string& node_id, const LockToken& token);
  /// Whether the token names an incarnation, current or earlier, of the node id.
  [[nodiscard]] bool knows(const std::string& node_id, const LockToken& token);
  /// Whether the token names an earlier incarnation of the node id.
  [[nodiscard]] bool is_former(const std::string& node_id, const LockToken& token);

  /// Whether the token is of the incarnation that is registered, and alive.
  [[nodiscard]] bool holds_lease(const std::string& node_id, const LockToken& token);

  /// Takes the node's lock; if the transaction then fails: undo_registration().
  RegistrationOutcome register_node(const NodeRegistration& registration, UtcTime now);
  void undo_registration(const NodeRegistration& registration);
  bool renew(const NodeRegistration& registration, UtcTime now);
  /// Gives the lock back at once, whatever becomes of the transaction: the node is going in any case.
  void end_lease(const NodeRegistration& registration, UtcTime now);
  /// Returns false when the node is not registered; nothing was written then.
  bool confirm_stored(const NodeId& node_id, UtcTime now);
  [[nodiscard]] std::vector<NodeEntry> nodes();
  /// The node cannot come to life meanwhile: that needs the write lock which this transaction has.
  NodeRemoval remove(const NodeId& node_id);

 private:
  struct Node {
    std::int64_t lock_number = 0;  ///< 0: not registered
    std::string incarnation;
    std::vector<std::string> former;
    std::string heartbeat_at;
  };

  const Node& find(const std::string& node_id);
  [[nodiscard]] bool is_alive(const Node& node) const { return locks_.is_held(node.lock_number); }
  [[nodiscard]] std::vector<std::string> former_after(const NodeRegistration& registration, const Node& node);

  Connection& connection_;
  NodeLocks& locks_;
  std::map<std::string, Node> known_;
  std::map<std::string, std::int64_t> just_taken_;  ///< locks that this transaction took, by node id

  Statement find_;
  Statement all_;
  Statement insert_;
  Statement replace_;
  Statement renew_;
  Statement end_lease_;
  Statement confirm_stored_;
  Statement is_named_;
  Statement is_signing_;
  Statement remove_;
};

}  // namespace hasigner::sqlite
