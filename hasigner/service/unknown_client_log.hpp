#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/log.hpp"

namespace hasigner::service {

/// Bounds what requests without a known client write into the log: of each address and status the first ten lines of an
/// interval, and then how many more there were.
///
/// Thread safety: one executor.
class UnknownClientLog {
 public:
  static constexpr std::size_t kLines = 10;

  UnknownClientLog(asio::any_io_executor executor, std::shared_ptr<Log> log,
                   std::chrono::milliseconds interval = std::chrono::seconds(10));

  /// Whether the line of this request is to be written. It is counted otherwise.
  [[nodiscard]] bool may_write(const std::string& peer, unsigned status);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::service
