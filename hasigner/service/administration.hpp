#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace hasigner::service {

/// What a reload has changed, each in the order of the files.
struct ReloadChanges {
  std::vector<std::string> attesters_added, attesters_removed;
  std::vector<std::string> clients_added, clients_removed;
  std::vector<std::string> clients_changed;  ///< other rights or restrictions
};

struct ReloadReport {
  std::chrono::system_clock::time_point began_at, ended_at;
  std::string by;  ///< `client NAME` or `a signal`
  bool succeeded = false;
  std::string what;       ///< what was loaded, or what is wrong
  ReloadChanges changes;  ///< empty after an error
};

/// A service that is drained signs and claims nothing more, and ends what is in flight.
struct Drain {
  std::chrono::system_clock::time_point since;
  std::string by;
};

/// What was asked of this service since it started, and what came of it. A restart forgets it.
///
/// Thread safety: the node's executor.
struct Administration {
  std::optional<Drain> drain;
  bool reloading = false;
  std::optional<ReloadReport> last_reload;
  std::optional<ReloadReport> last_failed_reload;
};

}  // namespace hasigner::service
