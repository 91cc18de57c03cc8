#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>

namespace hasigner::service {

class ConnectionRoom;

/// What the room of a listener knows of a connection.
class RoomedConnection {
 public:
  explicit RoomedConnection(std::string peer_in) : peer(std::move(peer_in)) {}
  virtual ~RoomedConnection() = default;
  RoomedConnection(const RoomedConnection&) = delete;
  RoomedConnection& operator=(const RoomedConnection&) = delete;
  /// Ends the connection now.
  virtual void close() = 0;

  const std::string peer;  ///< the address of the other side, without the port
  std::string client;      ///< empty until a request of a known client has come
  bool idle = true;        ///< waits for the first byte of a request
  bool answering = false;  ///< a request has been read and its answer is not made yet, or it is a stream of events

 private:
  friend class ConnectionRoom;
  using List = std::list<RoomedConnection*>;
  std::optional<List::iterator> entry_;
  std::uint64_t number_ = 0;  ///< in the order in which they entered
  std::size_t steps_ = 0;     ///< of its handshake, that wait for the service
};

/// The connections of one listener, and which of them goes when there are too many.
///
/// A connection over which no request of a known client has come goes for a new one: of the peer that has most of them,
/// the one that has waited longest for its client. Otherwise one of a client that has more than an equal part of all
/// goes, if it waits for that client. A client alone has three quarters of the places at most, so that there are
/// always some for connections whose client is not known yet. So silent and slow connections keep no client out, and
/// one client does not keep out the others.
///
/// A connection whose handshake waits for the service goes only for one of a peer that has fewer. When more than a
/// quarter of a peer's wait so, there is no room for new ones of the peer: those that come to their turn would have no
/// time to go on. Thread safety: none.
class ConnectionRoom {
 public:
  struct Limits {
    std::size_t all = 0;
    std::size_t of_a_peer = 0;
  };
  explicit ConnectionRoom(Limits limits) : limits_(limits) {}

  /// Of so many places, those that one client may have.
  [[nodiscard]] static constexpr std::size_t most_of_client(std::size_t places) { return places - places / 4; }

  /// Closes connections until another one of this peer may come. Returns false when none of them may go.
  [[nodiscard]] bool make_room(const std::string& peer);
  /// Whether there is no room for this peer because too many of its handshakes wait: soon there may be.
  [[nodiscard]] bool must_wait(const std::string& peer) const;
  /// Closes a connection that may go for one of any peer, whatever the limits are. Returns false when none may.
  [[nodiscard]] bool close_one();
  /// The connection leaves before it is destroyed.
  void enter(RoomedConnection& connection);
  /// A request of a known client has come. When the client has all the places that it may have, another connection of
  /// it is closed that waits for it. Returns false when none waits: then this one must end.
  [[nodiscard]] bool becomes_known(RoomedConnection& connection, const std::string& client);
  /// A step of its handshake waits for the service from now on.
  void begin_step(RoomedConnection& connection);
  /// The step has been done: the connection waits for its client again.
  void end_step(RoomedConnection& connection);
  void leave(RoomedConnection& connection);

  [[nodiscard]] std::size_t closed() const { return closed_; }  ///< for other connections, since the start

 private:
  using List = RoomedConnection::List;
  struct Peer {
    std::size_t open = 0;
    List unknown;       ///< those that wait for the client; the one that has waited longest first
    List in_handshake;  ///< unknown ones that wait for the service
    std::map<std::string, std::size_t> clients;  ///< connections of each known client
    [[nodiscard]] std::size_t all_unknown() const { return unknown.size() + in_handshake.size(); }
    [[nodiscard]] std::uint64_t oldest() const;
    [[nodiscard]] bool is_crowded() const;
  };

  enum class InHandshake : std::uint8_t { kStay, kMayGo };

  bool close_one_for(std::size_t own_unknown);
  bool close_unknown(Peer& peer, InHandshake in_handshake);
  bool close_waiting(std::size_t limit, const std::string* peer);
  bool make_place(const RoomedConnection& connection, const std::string& client);
  void close(RoomedConnection& connection);
  void leave_list(RoomedConnection& connection);

  Limits limits_;
  std::size_t open_ = 0;
  std::size_t closed_ = 0;
  std::uint64_t entered_ = 0;
  std::map<std::string, Peer> peers_;
  std::map<std::string, std::size_t> clients_;
  List known_;  ///< oldest first
};

}  // namespace hasigner::service
