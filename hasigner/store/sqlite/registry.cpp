#include "hasigner/store/sqlite/registry.hpp"

#include <algorithm>

#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {
namespace {

/// Earlier incarnations that are remembered although no row names them: a late request of theirs may still make one.
constexpr std::size_t kFormerKept = 1000;

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    parts.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return parts;
}

std::string join(const std::vector<std::string>& parts) {
  std::string list;
  for (const std::string& part : parts) list += (list.empty() ? "" : ",") + part;
  return list;
}

bool contains(const std::vector<std::string>& parts, const std::string& part) {
  return std::ranges::find(parts, part) != parts.end();
}

}  // namespace

Registry::Registry(Connection& connection, NodeLocks& locks)
    : connection_(connection),
      locks_(locks),
      find_(connection, statement("find_node")),
      all_(connection, statement("all_nodes")),
      insert_(connection, statement("insert_node")),
      replace_(connection, statement("replace_incarnation")),
      renew_(connection, statement("renew")),
      end_lease_(connection, statement("end_lease")),
      confirm_stored_(connection, statement("confirm_stored")),
      is_named_(connection, statement("incarnation_is_signing")),
      is_signing_(connection, statement("node_is_signing")),
      remove_(connection, statement("remove_node")) {}

void Registry::begin() {
  known_.clear();
  just_taken_.clear();
}

const Registry::Node& Registry::find(const std::string& node_id) {
  const auto [it, is_new] = known_.try_emplace(node_id);
  if (is_new) {
    Run run = find_.start(node_id);
    if (run.next()) it->second = Node{run.integer(0), run.text(1), split(run.text(2)), run.text(3)};
  }
  return it->second;
}

HolderState Registry::holder_of(const std::string& node_id, const LockToken& token) {
  if (token.kind() != TokenKind::kFenced || !knows(node_id, token)) return HolderState::kUnfenced;
  const Node& node = find(node_id);
  return node.incarnation == hex_of(*token.incarnation()) && is_alive(node) ? HolderState::kAlive
                                                                            : HolderState::kExpired;
}

bool Registry::knows(const std::string& node_id, const LockToken& token) {
  const auto incarnation = token.incarnation();
  if (!incarnation) return false;
  const Node& node = find(node_id);
  return node.lock_number != 0 && (node.incarnation == hex_of(*incarnation) || is_former(node_id, token));
}

bool Registry::is_former(const std::string& node_id, const LockToken& token) {
  const auto incarnation = token.incarnation();
  if (!incarnation) return false;
  const Node& node = find(node_id);
  return node.incarnation != hex_of(*incarnation) && contains(node.former, hex_of(*incarnation));
}

bool Registry::holds_lease(const std::string& node_id, const LockToken& token) {
  const auto incarnation = token.incarnation();
  if (!incarnation) return false;
  const Node& node = find(node_id);
  return node.lock_number != 0 && node.incarnation == hex_of(*incarnation) && is_alive(node);
}

/// Forgets the oldest that no row needs any more, so that the list does not grow without limit.
std::vector<std::string> Registry::former_after(const NodeRegistration& registration, const Node& node) {
  std::vector<std::string> former = node.former;
  const std::string incarnation = hex_of(registration.incarnation);
  std::erase(former, incarnation);
  if (node.incarnation != incarnation) former.push_back(node.incarnation);
  for (auto it = former.begin(); former.size() > kFormerKept && it != former.end();) {
    Run run = is_named_.start(registration.node_id.str(), *it);
    it = run.next() ? it + 1 : former.erase(it);
  }
  return former;
}

RegistrationOutcome Registry::register_node(const NodeRegistration& registration, UtcTime now) {
  const std::string& node_id = registration.node_id.str();
  const std::string incarnation = hex_of(registration.incarnation);
  const Node node = find(node_id);
  const bool is_ours = node.lock_number != 0 && locks_.holds(node.lock_number) && node.incarnation == incarnation;
  if (node.lock_number != 0 && !is_ours) {
    if (locks_.holds(node.lock_number) || !locks_.take(node.lock_number)) {
      return RegistrationOutcome{
          .registered = false, .holder = node.incarnation, .heartbeat = node.heartbeat_at, .certainly_alive = true};
    }
    just_taken_[node_id] = node.lock_number;
  }

  const std::string at = utc_text(now), until = utc_text(now + registration.lease);
  if (node.lock_number != 0) {
    replace_.run(node_id, incarnation, at, until, join(former_after(registration, node)));
  } else {
    insert_.run(node_id, incarnation, at, until);
    const std::int64_t number = connection_.last_rowid();
    // SQLite gives the number of a row that was deleted by hand again, and a process may still hold it: this one, which
    // registers anew, or another.
    if (!locks_.holds(number) && !locks_.take(number)) {
      throw std::runtime_error("the lock of the new node " + node_id + " is held by a node without a row");
    }
    just_taken_[node_id] = number;
  }
  known_.erase(node_id);
  return RegistrationOutcome{.registered = true, .holder = {}, .heartbeat = {}};
}

void Registry::undo_registration(const NodeRegistration& registration) {
  const auto taken = just_taken_.extract(registration.node_id.str());
  if (taken) locks_.release(taken.mapped());
}

bool Registry::renew(const NodeRegistration& registration, UtcTime now) {
  const Node& node = find(registration.node_id.str());
  if (node.lock_number == 0 || !locks_.holds(node.lock_number)) return false;
  return renew_.run(registration.node_id.str(), hex_of(registration.incarnation), utc_text(now),
                    utc_text(now + registration.lease)) > 0;
}

void Registry::end_lease(const NodeRegistration& registration, UtcTime now) {
  const Node& node = find(registration.node_id.str());
  if (node.lock_number == 0 || node.incarnation != hex_of(registration.incarnation)) return;
  locks_.release(node.lock_number);
  end_lease_.run(registration.node_id.str(), node.incarnation, utc_text(now));
}

bool Registry::confirm_stored(const NodeId& node_id, UtcTime now) {
  return confirm_stored_.run(node_id.str(), utc_text(now)) > 0;
}

NodeRemoval Registry::remove(const NodeId& node_id) {
  const Node& node = find(node_id.str());
  if (node.lock_number == 0) return NodeRemoval::kUnknown;
  if (is_alive(node)) return NodeRemoval::kAlive;
  {
    Run signing = is_signing_.start(node_id.str());
    if (signing.next()) return NodeRemoval::kStillSigns;
  }
  remove_.run(node_id.str());
  known_.erase(node_id.str());
  return NodeRemoval::kRemoved;
}

std::vector<NodeEntry> Registry::nodes() {
  std::vector<NodeEntry> entries;
  Run run = all_.start();
  while (run.next()) {
    entries.push_back(NodeEntry{.node_id = run.text(1),
                                .incarnation = run.text(2),
                                .heartbeat_at = run.text(3),
                                .alive = locks_.is_held(run.integer(0)),
                                .earlier_incarnations = split(run.text(4)).size()});
  }
  return entries;
}

}  // namespace hasigner::sqlite
