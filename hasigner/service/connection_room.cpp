#include "hasigner/service/connection_room.hpp"

#include <algorithm>
#include <limits>

namespace hasigner::service {

namespace {

std::size_t count_in(const std::map<std::string, std::size_t>& counts, const std::string& client) {
  const auto entry = counts.find(client);
  return entry == counts.end() ? 0 : entry->second;
}

void take_from(std::map<std::string, std::size_t>& counts, const std::string& client) {
  const auto entry = counts.find(client);
  if (--entry->second == 0) counts.erase(entry);
}

}  // namespace

std::uint64_t ConnectionRoom::Peer::oldest() const {
  auto number = std::numeric_limits<std::uint64_t>::max();
  for (const auto* list : {&unknown, &in_handshake}) {
    if (!list->empty()) number = std::min(number, list->front()->number_);
  }
  return number;
}

/// Most of the room is for those that go on after a step, or are to begin.
bool ConnectionRoom::Peer::is_crowded() const {
  return in_handshake.size() > std::max<std::size_t>(1, all_unknown() / 4);
}

bool ConnectionRoom::make_room(const std::string& peer) {
  const auto entry = peers_.find(peer);
  if (entry == peers_.end()) return open_ < limits_.all || close_one_for(0);
  auto& own = entry->second;
  if (own.open >= limits_.of_a_peer) {
    const bool has_unknown = own.all_unknown() > 0;
    if (has_unknown ? !close_unknown(own, InHandshake::kStay) : !close_waiting(limits_.of_a_peer, &peer)) return false;
  }
  return open_ < limits_.all || close_one_for(own.all_unknown());
}

bool ConnectionRoom::must_wait(const std::string& peer) const {
  const auto entry = peers_.find(peer);
  return entry != peers_.end() && entry->second.open >= limits_.of_a_peer && entry->second.is_crowded();
}

bool ConnectionRoom::close_one() {
  return close_one_for(0);
}

/// For a connection of a peer with so many unknown ones.
bool ConnectionRoom::close_one_for(std::size_t own_unknown) {
  // Of peers that have as many, the one whose oldest has been here longest.
  const auto most = std::ranges::max_element(
      peers_, {}, [](const auto& entry) { return std::pair(entry.second.all_unknown(), ~entry.second.oldest()); });
  if (most == peers_.end() || most->second.all_unknown() == 0) return close_waiting(limits_.all, nullptr);
  const bool has_more = most->second.all_unknown() > own_unknown + 1;
  return close_unknown(most->second, has_more ? InHandshake::kMayGo : InHandshake::kStay);
}

/// Closes the one that has waited longest for its client; if there is none, the newest one in handshake if that may go.
bool ConnectionRoom::close_unknown(Peer& peer, InHandshake in_handshake) {
  if (!peer.unknown.empty() && !peer.is_crowded()) {
    close(*peer.unknown.front());
    return true;
  }
  if (in_handshake == InHandshake::kStay) return false;
  close(*peer.in_handshake.back());
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

bool ConnectionRoom::becomes_known(RoomedConnection& connection, const std::string& client) {
  if (!connection.entry_ || connection.client == client) return true;
  if (!make_place(connection, client)) return false;
  leave_list(connection);
  connection.client = client;
  ++clients_[client];
  ++peers_[connection.peer].clients[client];
  connection.entry_ = known_.insert(known_.end(), &connection);
  return true;
}

/// Closes the oldest connection that waits for this client, of the same peer if there the client has too many.
bool ConnectionRoom::make_place(const RoomedConnection& connection, const std::string& client) {
  const auto& of_peer = peers_.at(connection.peer).clients;
  const bool has_too_many_there = count_in(of_peer, client) >= most_of_client(limits_.of_a_peer);
  if (!has_too_many_there && count_in(clients_, client) < most_of_client(limits_.all)) return true;
  const auto oldest = std::ranges::find_if(known_, [&](const RoomedConnection* other) {
    return other->client == client && !other->answering && (!has_too_many_there || other->peer == connection.peer);
  });
  if (oldest == known_.end()) return false;
  close(**oldest);
  return true;
}

void ConnectionRoom::begin_step(RoomedConnection& connection) {
  const bool is_first = connection.steps_++ == 0;
  if (!is_first || !connection.entry_ || !connection.client.empty()) return;
  auto& peer = peers_[connection.peer];
  peer.in_handshake.splice(peer.in_handshake.end(), peer.unknown, *connection.entry_);
}

void ConnectionRoom::end_step(RoomedConnection& connection) {
  const bool is_last = --connection.steps_ == 0;
  if (!is_last || !connection.entry_ || !connection.client.empty()) return;
  auto& peer = peers_[connection.peer];
  peer.unknown.splice(peer.unknown.end(), peer.in_handshake, *connection.entry_);
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
    auto& peer = peers_[connection.peer];
    (connection.steps_ == 0 ? peer.unknown : peer.in_handshake).erase(*connection.entry_);
    return;
  }
  known_.erase(*connection.entry_);
  take_from(clients_, connection.client);
  take_from(peers_[connection.peer].clients, connection.client);
}

}  // namespace hasigner::service
