#pragma once

#include <memory>

#include "hasigner/protection/history.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// Tells subscribers, as server-sent events, of duties that are claimed, signed, taken over, replaced or removed by any
/// node. One look at the store a second serves all of them; without subscribers there is none.
///
/// Thread safety: one executor.
class DutyEvents {
 public:
  /// `history` is used on `executor` and must outlive it.
  DutyEvents(asio::any_io_executor executor, History& history);
  ~DutyEvents();
  DutyEvents(const DutyEvents&) = delete;
  DutyEvents& operator=(const DutyEvents&) = delete;

  /// Null: there are as many subscribers as there may be. One that does not keep up is ended.
  [[nodiscard]] std::shared_ptr<EventStream> subscribe();
  /// Ends all of them.
  void end();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::service
