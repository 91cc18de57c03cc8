#include "hasigner/service/connection_room.hpp"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "hasigner/service/client_connection.hpp"

namespace hasigner::service {
namespace {

class Connection final : public RoomedConnection {
 public:
  using RoomedConnection::RoomedConnection;
  void close() override { closed = true; }
  bool closed = false;
};

/// A listener: connections come and are let in while there is room.
class Listener {
 public:
  explicit Listener(ConnectionRoom::Limits limits) : room_(limits) {}
  ~Listener() {
    for (const auto& connection : connections_) room_.leave(*connection);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Returns null where the connection is refused.
  Connection* come(const std::string& peer) {
    if (!room_.make_room(peer)) return nullptr;
    connections_.push_back(std::make_unique<Connection>(peer));
    room_.enter(*connections_.back());
    return connections_.back().get();
  }
  Connection* come_known(const std::string& peer, const std::string& client, bool answering) {
    auto* const connection = come(peer);
    if (!connection) return nullptr;
    if (!room_.becomes_known(*connection, client)) {
      room_.leave(*connection);
      return nullptr;
    }
    connection->answering = answering;
    return connection;
  }
  /// A connection whose handshake waits for the service.
  Connection* come_to_a_handshake(const std::string& peer) {
    auto* const connection = come(peer);
    if (connection) room_.begin_step(*connection);
    return connection;
  }
  void end_step(Connection& connection) { room_.end_step(connection); }
  [[nodiscard]] bool must_wait(const std::string& peer) const { return room_.must_wait(peer); }
  void go(Connection& connection) { room_.leave(connection); }
  [[nodiscard]] std::size_t closed() const { return room_.closed(); }

 private:
  ConnectionRoom room_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

TEST(ConnectionRoom, closes_the_oldest_stranger_for_a_new_connection) {
  Listener listener({.all = 3, .of_a_peer = 3});
  auto* const known = listener.come_known("a", "client", true);
  auto* const first = listener.come("a");
  auto* const second = listener.come("a");
  ASSERT_TRUE(listener.come("b"));
  EXPECT_TRUE(first->closed);
  EXPECT_FALSE(known->closed || second->closed);
}

TEST(ConnectionRoom, closes_unknown_connections_of_the_peer_that_has_most_of_them) {
  Listener listener({.all = 4, .of_a_peer = 4});
  auto* const lonely = listener.come("lonely");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(listener.come("crowd"));
  EXPECT_FALSE(lonely->closed);
  EXPECT_EQ(listener.closed(), 97U);
}

TEST(ConnectionRoom, keeps_a_peer_within_its_own_limit) {
  Listener listener({.all = 10, .of_a_peer = 2});
  auto* const other = listener.come("other");
  auto* const first = listener.come("a");
  listener.come("a");
  ASSERT_TRUE(listener.come("a"));
  EXPECT_TRUE(first->closed);
  EXPECT_FALSE(other->closed);
}

TEST(ConnectionRoom, refuses_where_all_connections_serve_known_clients) {
  Listener listener({.all = 2, .of_a_peer = 2});
  listener.come_known("a", "client", true);
  auto* const second = listener.come_known("a", "client", true);
  EXPECT_FALSE(listener.come("b"));
  second->answering = false;
  EXPECT_TRUE(listener.come("b"));
  EXPECT_TRUE(second->closed);
}

TEST(ConnectionRoom, keeps_waiting_connections_of_a_client_that_has_no_more_than_an_equal_part) {
  Listener listener({.all = 3, .of_a_peer = 3});
  for (const auto* const client : {"x", "y", "z"}) ASSERT_TRUE(listener.come_known("a", client, false));
  EXPECT_FALSE(listener.come("b"));
}

TEST(ConnectionRoom, two_clients_with_half_each_keep_out_no_third) {
  Listener listener({.all = 8, .of_a_peer = 8});
  for (int i = 0; i < 4; ++i) {
    for (const auto* const client : {"x", "y"}) ASSERT_TRUE(listener.come_known(client, client, false));
  }
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(listener.come_known("b", "z", false));
}

TEST(ConnectionRoom, one_client_leaves_places_for_connections_whose_client_is_not_known_yet) {
  Listener listener({.all = 16, .of_a_peer = 8});
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(listener.come_known("a", "greedy", true)) << i;
  EXPECT_FALSE(listener.come_known("a", "greedy", true));
  EXPECT_TRUE(listener.come_known("a", "honest", true));
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(listener.come_known("b", "greedy", true)) << i;
  EXPECT_FALSE(listener.come_known("c", "greedy", true)) << "three quarters of all";
  EXPECT_TRUE(listener.come_known("c", "honest", true));
  EXPECT_EQ(listener.closed(), 0U);
}

TEST(ConnectionRoom, a_client_with_all_its_places_gives_up_the_oldest_connection_that_waits_for_it) {
  Listener listener({.all = 8, .of_a_peer = 4});
  auto* const elsewhere = listener.come_known("b", "client", false);
  auto* const busy = listener.come_known("a", "client", true);
  auto* const waiting = listener.come_known("a", "client", false);
  ASSERT_TRUE(listener.come_known("a", "client", true));
  ASSERT_TRUE(listener.come_known("a", "client", true));
  EXPECT_TRUE(waiting->closed);
  EXPECT_FALSE(elsewhere->closed || busy->closed);
}

TEST(ConnectionRoom, of_peers_with_as_many_unknown_connections_the_oldest_goes_whatever_its_address) {
  Listener listener({.all = 3, .of_a_peer = 3});
  auto* const oldest = listener.come("z");
  auto* const second = listener.come("y");
  listener.come("x");
  auto* const honest = listener.come("a");
  EXPECT_TRUE(oldest->closed);
  ASSERT_TRUE(listener.come("w"));
  EXPECT_TRUE(second->closed);
  EXPECT_FALSE(honest->closed);
}

TEST(ConnectionRoom, counts_a_connection_once_though_it_is_closed_for_another_and_leaves_later) {
  Listener listener({.all = 1, .of_a_peer = 1});
  auto* const first = listener.come("a");
  auto* const second = listener.come("a");
  ASSERT_TRUE(second);
  listener.go(*first);
  listener.go(*second);
  ASSERT_TRUE(listener.come("a"));
  EXPECT_EQ(listener.closed(), 1U);
}

TEST(ConnectionRoom, closes_what_waits_for_its_client_and_not_what_waits_for_the_service) {
  Listener listener({.all = 10, .of_a_peer = 4});
  auto* const waiting = listener.come_to_a_handshake("a");
  auto* const served = listener.come_to_a_handshake("a");
  auto* const silent = listener.come("a");
  listener.come("a");
  listener.end_step(*served);
  ASSERT_TRUE(listener.come("a"));
  EXPECT_TRUE(silent->closed) << "it has waited longer for its client than the one that had a turn";
  EXPECT_FALSE(waiting->closed || served->closed);
}

TEST(ConnectionRoom, has_no_room_for_more_of_a_peer_too_many_of_whose_handshakes_wait) {
  Listener listener({.all = 16, .of_a_peer = 8});
  std::vector<Connection*> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(listener.come_to_a_handshake("a"));
  auto* const begins = listener.come("a");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(listener.come("a"));
  EXPECT_TRUE(listener.must_wait("a"));
  EXPECT_FALSE(listener.must_wait("b"));
  EXPECT_FALSE(listener.come("a"));
  EXPECT_TRUE(listener.come("b"));
  EXPECT_EQ(listener.closed(), 0U);
  listener.end_step(*waiting.front());
  EXPECT_FALSE(listener.must_wait("a"));
  EXPECT_TRUE(listener.come("a"));
  EXPECT_TRUE(begins->closed);
}

TEST(ConnectionRoom, handshakes_of_one_peer_that_fill_the_listener_go_for_another_peer_until_they_are_as_few) {
  Listener listener({.all = 8, .of_a_peer = 8});
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(listener.come_to_a_handshake("crowd"));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(listener.come_to_a_handshake("b")) << i;
  EXPECT_FALSE(listener.come("b"));
  EXPECT_FALSE(listener.come("crowd"));
  EXPECT_TRUE(listener.come("c"));
}

TEST(ConnectionRoom, a_step_that_ends_after_its_connection_has_gone_changes_nothing) {
  Listener listener({.all = 2, .of_a_peer = 2});
  auto* const closed = listener.come_to_a_handshake("a");
  listener.go(*closed);
  listener.end_step(*closed);
  auto* const known = listener.come_to_a_handshake("a");
  listener.come("a");
  EXPECT_TRUE(listener.come("a"));
  EXPECT_FALSE(known->closed);
}

TEST(PeerOf, names_who_can_have_many_addresses_once) {
  asio::io_context context;
  asio::generic::stream_protocol::socket socket(context);
  const auto peer = [&](const char* address) {
    return peer_of(socket, asio::ip::tcp::endpoint(asio::ip::make_address(address), 9'000));
  };
  for (const char* mine : {"127.0.0.1", "127.0.0.2", "127.255.3.4", "::1", "::ffff:127.0.0.9"}) {
    EXPECT_EQ(peer(mine), "loopback") << mine;
  }
  EXPECT_EQ(peer("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(peer("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(peer("2001:db8::1"), "2001:db8::/64");
  EXPECT_EQ(peer("2001:db8::ffff:1"), "2001:db8::/64");
}

}  // namespace
}  // namespace hasigner::service
