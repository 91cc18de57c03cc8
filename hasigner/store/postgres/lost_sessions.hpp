#pragma once

#include <string>
#include <vector>

#include "hasigner/store/postgres/libpq_connection.hpp"

namespace hasigner::postgres {

/// Sessions that were lost with a request in flight, and may still be alive on their server.
class LostSessions {
 public:
  void add(const SessionId& session);

  [[nodiscard]] bool empty() const { return sessions_.empty(); }

  /// The question which of them are alive.
  [[nodiscard]] SqlStatement which_are_alive() const;

  /// Forgets those that were asked about and are not in the answer. A session of another server, or of an earlier life
  /// of this one, has ended.
  void forget_ended(const SqlRows& alive, const std::vector<SessionId>& asked);

  [[nodiscard]] const std::vector<SessionId>& all() const { return sessions_; }

 private:
  std::vector<SessionId> sessions_;
};

}  // namespace hasigner::postgres
