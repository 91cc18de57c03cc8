#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace hasigner::cli {

/// The sockets and notifications of systemd, or of another manager with its protocols.
///
/// Thread safety: once made, any thread.
/// Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
class ServiceManager {
 public:
  /// Effects: takes LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the
  /// environment.
  ServiceManager();

  /// Sockets that already listen; each may be taken once.
  [[nodiscard]] const std::vector<int>& sockets() const { return sockets_; }

  /// How often to tell the manager that this process is alive: twice in its time-out. Returns nullopt when it has no
  /// watchdog.
  [[nodiscard]] std::optional<std::chrono::milliseconds> watchdog_period() const { return watchdog_period_; }
  void alive() const { notify("WATCHDOG=1"); }

  /// Sends lines of `NAME=VALUE`; does nothing without a manager.
  void notify(const std::string& state) const;
  void ready(const std::string& status) const { notify("READY=1\nSTATUS=" + status); }
  void reloading() const;
  void stopping() const { notify("STOPPING=1\nSTATUS=finishing what is in flight"); }

 private:
  std::vector<int> sockets_;
  std::string notify_socket_;
  std::optional<std::chrono::milliseconds> watchdog_period_;
};

}  // namespace hasigner::cli
