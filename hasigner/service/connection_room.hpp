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
  bool answering = false;  ///< a request has been read, and its answer is not sent yet

 private:
  friend class ConnectionRoom;
  using List = std::list<RoomedConnection*>;
  std::optional<List::iterator> entry_;
  std::uint64_t number_ = 0;  ///< in the order in which they entered
};

/// The connections of one listener, and which of them goes when there are too many.
///
/// A connection over which no request of a known client has come goes for a new one: the oldest of the peer that has
/// most of them. Otherwise one of a client that has more than an equal part of all goes, if it waits for that client.
/// So silent and slow connections keep no client out, and one client does not keep out the others. Thread safety: none.
class ConnectionRoom {
 public:
  struct Limits {
    std::size_t all = 0;
    std::size_t of_a_peer = 0;
  };
  explicit ConnectionRoom(Limits limits) : limits_(limits) {}

  /// Closes connections until another one of this peer may come. Returns false when none of them may go.
  [[nodiscard]] bool make_room(const std::string& peer);
  /// Closes a connection that may go, whatever the limits are. Returns false when none may.
  [[nodiscard]] bool close_one();
  /// The connection leaves before it is destroyed.
  void enter(RoomedConnection& connection);
  /// A request of a known client has come.
  void becomes_known(RoomedConnection& connection, const std::string& client);
  void leave(RoomedConnection& connection);

  [[nodiscard]] std::size_t closed() const { return closed_; }  ///< for other connections, since the start

 private:
  using List = RoomedConnection::List;
  struct Peer {
    std::size_t open = 0;
    List unknown;  ///< oldest first
  };

  bool close_waiting(std::size_t limit, const std::string* peer);
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
