#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hasigner/service/listen_address.hpp"

namespace hasigner::service {

class TlsContext;

/// A listening socket. The destructor closes it, and removes the file of a Unix socket unless a successor listens there
/// already.
class Listener {
 public:
  /// Makes the socket. Only its owner may connect to a Unix socket. A file that a dead process left behind is replaced,
  /// by one of the processes that find it at the same time.
  ///
  /// Errors: throws std::runtime_error with one sentence: the address is in use, may not be used, does not exist here.
  [[nodiscard]] static Listener open(const ListenAddress& address);
  /// Takes over a socket that already listens (socket activation).
  ///
  /// Errors: throws std::runtime_error for a descriptor that is not a listening stream socket.
  [[nodiscard]] static Listener adopt(int descriptor);

  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// The bound address, with the port that was chosen.
  [[nodiscard]] const ListenAddress& address() const { return address_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Hands the descriptor to the caller, who closes it before this object goes. This object still owns the file.
  [[nodiscard]] int release();

 private:
  Listener(int descriptor, ListenAddress address, std::string made_file);

  int descriptor_;
  ListenAddress address_;
  std::string made_file_;
};

}  // namespace hasigner::service
