#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/audit_log.hpp"

namespace hasigner::service {

/// Bounds what a client writes into the audit log with duties that are refused: of each client so many lines a second,
/// and then one with how many more there were. Otherwise one client could fill the disk, and push out the lines of
/// others.
///
/// Thread safety: one executor.
class AuditedRefusals : public std::enable_shared_from_this<AuditedRefusals> {
 public:
  static constexpr std::size_t kLines = 500;
  static constexpr std::chrono::seconds kInterval{1};

  /// `audit` may be null.
  AuditedRefusals(asio::any_io_executor executor, std::shared_ptr<AuditLog> audit)
      : audit_(std::move(audit)), timer_(std::move(executor)) {}

  /// Whether the line of a refused duty is to be written. It is counted otherwise.
  [[nodiscard]] bool may_note(const std::string& client) {
    if (counts_.empty()) begin_interval();
    return ++counts_[client] <= kLines;
  }

  /// Tells how many more there were; also at the end, when nothing runs any more.
  void end_interval() {
    for (const auto& [client, count] : std::exchange(counts_, {})) {
      if (count <= kLines || !audit_) continue;
      audit_->note({"more_refused", {{"client", client}, {"count", std::to_string(count - kLines)}}});
    }
  }

 private:
  void begin_interval() {
    timer_.expires_after(kInterval);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (self && !error) self->end_interval();
    });
  }

  std::shared_ptr<AuditLog> audit_;
  asio::steady_timer timer_;
  std::map<std::string, std::size_t> counts_;  ///< of each client, in this interval
};

}  // namespace hasigner::service
