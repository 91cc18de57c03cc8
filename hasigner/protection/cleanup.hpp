#pragma once

#include <memory>

#include "hasigner/protection/protocol.hpp"

namespace hasigner {

/// The background deletions (docs/protocol.md, section 2): rows that this node abandoned or left stuck, and, where the
/// operator asked for it, old ones. Always in small chunks that skip locked rows.
///
/// Thread safety: one executor.
class Cleanup : public std::enable_shared_from_this<Cleanup> {
 public:
  explicit Cleanup(std::shared_ptr<Protocol> protocol);

  /// Begins to work in the background.
  void start();
  /// Returns when the background work has ended.
  [[nodiscard]] asio::awaitable<void> stop();

 private:
  static asio::awaitable<void> work(std::shared_ptr<Cleanup> self);
  [[nodiscard]] asio::awaitable<void> remove_all(Removal what, milliseconds max_age);

  std::shared_ptr<Protocol> protocol_;
  std::shared_ptr<Arrival<Unit>> stop_signal_;
  std::shared_ptr<Arrival<Unit>> stopped_;
  bool started_ = false;
  bool stopping_ = false;
};

}  // namespace hasigner
