#include "hasigner/service/connection_room.hpp"

#include <algorithm>

namespace hasigner::service {

bool ConnectionRoom::make_room(const std::string& peer) {
  const auto entry = peers_.find(peer);
  if (entry != peers_.end() && entry->second.open >= limits_.of_a_peer) {
    auto& strangers = entry->second.strangers;
    if (strangers.empty()) return close_waiting(limits_.of_a_peer, &peer);
    close(*strangers.front());
  }
  return open_ < limits_.all || close_one();
}

bool ConnectionRoom::close_one() {
  // Of peers that have as many, the one whose oldest has been here longest.
  const auto most = std::ranges::max_element(peers_, {}, [](const auto& entry) {
    const List& strangers = entry.second.strangers;
    return std::pair(strangers.size(), strangers.empty() ? 0 : ~strangers.front()->number_);
  });
  if (most == peers_.end() || most->second.strangers.empty()) return close_waiting(limits_.all, nullptr);
  close(*most->second.strangers.front());
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
  connection.place_ = peer.strangers.insert(peer.strangers.end(), &connection);
}

void ConnectionRoom::becomes_known(RoomedConnection& connection, const std::string& client) {
  if (!connection.place_ || connection.client == client) return;
  leave_list(connection);
  connection.client = client;
  ++clients_[client];
  connection.place_ = known_.insert(known_.end(), &connection);
}

void ConnectionRoom::leave(RoomedConnection& connection) {
  if (!connection.place_) return;
  leave_list(connection);
  connection.place_.reset();
  --open_;
  const auto peer = peers_.find(connection.peer);
  if (--peer->second.open == 0) peers_.erase(peer);
}

void ConnectionRoom::leave_list(RoomedConnection& connection) {
  if (connection.client.empty()) {
    peers_[connection.peer].strangers.erase(*connection.place_);
    return;
  }
  known_.erase(*connection.place_);
  const auto count = clients_.find(connection.client);
  if (--count->second == 0) clients_.erase(count);
}

}  // namespace hasigner::service
