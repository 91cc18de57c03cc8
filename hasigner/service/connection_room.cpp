#include "hasigner/service/connection_room.hpp"

#include <algorithm>

namespace hasigner::service {

bool ConnectionRoom::make_room(const std::string& peer) {
  const auto entry = peers_.find(peer);
  if (entry != peers_.end() && entry->second.open >= limits_.of_a_peer) {
    auto& unknown = entry->second.unknown;
    if (unknown.empty()) return close_waiting(limits_.of_a_peer, &peer);
    close(*unknown.front());
  }
  return open_ < limits_.all || close_one();
}

bool ConnectionRoom::close_one() {
  // Of peers that have as many, the one whose oldest has been here longest.
  const auto most = std::ranges::max_element(peers_, {}, [](const auto& entry) {
    const List& unknown = entry.second.unknown;
    return std::pair(unknown.size(), unknown.empty() ? 0 : ~unknown.front()->number_);
  });
  if (most == peers_.end() || most->second.unknown.empty()) return close_waiting(limits_.all, nullptr);
  close(*most->second.unknown.front());
  return true;
}

/// Closes the oldest connection of a client that has more than its part of `limit`, of those that wait for the client.
/// Each client has an equal part, and so has the one that is to come.
bool ConnectionRoom::close_waiting(std::size_t limit, const std::string* peer) {
  const std::size_t part = std::max<std::size_t>(1, limit / (clients_.size() + 1));
  const auto oldest = std::ranges::find_if(known_, [&](const RoomedConnection* connection) {
    return !connection->answering && (!peer || connection->peer == *peer) && clients_[connection->client] > part;
  });
  if (oldest == known_.end()) return false;
  close(**oldest);
  return true;
}

void ConnectionRoom::close(RoomedConnection& connection) {
  ++closed_;
  leave(connection);
  connection.close();
}

void ConnectionRoom::enter(RoomedConnection& connection) {
  auto& peer = peers_[connection.peer];
  ++open_;
  ++peer.open;
  connection.number_ = ++entered_;
  connection.entry_ = peer.unknown.insert(peer.unknown.end(), &connection);
}

void ConnectionRoom::becomes_known(RoomedConnection& connection, const std::string& client) {
  if (!connection.entry_ || connection.client == client) return;
  leave_list(connection);
  connection.client = client;
  ++clients_[client];
  connection.entry_ = known_.insert(known_.end(), &connection);
}

void ConnectionRoom::leave(RoomedConnection& connection) {
  if (!connection.entry_) return;
  leave_list(connection);
  connection.entry_.reset();
  --open_;
  const auto peer = peers_.find(connection.peer);
  if (--peer->second.open == 0) peers_.erase(peer);
}

void ConnectionRoom::leave_list(RoomedConnection& connection) {
  if (connection.client.empty()) {
    peers_[connection.peer].unknown.erase(*connection.entry_);
    return;
  }
  known_.erase(*connection.entry_);
  const auto count = clients_.find(connection.client);
  if (--count->second == 0) clients_.erase(count);
}

}  // namespace hasigner::service
