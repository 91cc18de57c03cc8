#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hasigner/service/listen_address.hpp"

namespace hasigner::service {

class TlsContext;

/// A socket that listens, by its descriptor; closed when it goes, and a Unix socket's file removed unless a successor
/// listens there already.
class Listener {
 public:
  /// Makes the socket. A Unix socket is open to its owner only; a file left behind by a dead process is replaced, by
  /// one of those who find it at the same time.
  ///
  /// Errors: throws std::runtime_error with one sentence: the address is in use, may not be used, does not exist here.
  [[nodiscard]] static Listener open(const ListenAddress& address);
  /// Takes over a socket that already listens (socket activation).
  ///
  /// Errors: throws std::runtime_error for a descriptor that is no listening stream socket.
  [[nodiscard]] static Listener adopt(int descriptor);

  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// As it is bound: with the port that was chosen.
  [[nodiscard]] const ListenAddress& address() const { return address_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Hands the descriptor to someone who closes it before this object goes; the file stays this object's.
  [[nodiscard]] int release();

 private:
  Listener(int descriptor, ListenAddress address, std::string made_file);

  int descriptor_;
  ListenAddress address_;
  std::string made_file_;
};

}  // namespace hasigner::service
