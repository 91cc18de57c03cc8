#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hasigner/async/background.hpp"
#include "hasigner/protection/history.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_problems.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// Sends server-sent events about duties that any node claims, signs, takes over, replaces or removes, and about the
/// problems of duties at this service. One look at the store a second serves all subscribers; without subscribers the
/// store is not read.
///
/// Thread safety: one executor.
class DutyEvents {
 public:
  /// Bounds a stream that a session of the console has opened.
  struct Session {
    Fingerprint id{};
    MonotonicTime ends_at;
  };

  /// `history` is used on `executor` and must outlive it.
  DutyEvents(asio::any_io_executor executor, History& history, std::shared_ptr<const DutyProblems> problems,
             ReportFailure report);
  ~DutyEvents();
  DutyEvents(const DutyEvents&) = delete;
  DutyEvents& operator=(const DutyEvents&) = delete;

  /// A stream of the events that `viewer` may see. Returns null when `client` has as many streams as it may have. The
  /// stream of a subscriber that is too slow is ended.
  [[nodiscard]] std::shared_ptr<EventStream> subscribe(const std::string& client, const Client& viewer,
                                                       const std::optional<Session>& session = {});
  /// Ends the streams of a session.
  void end_session(const Fingerprint& id);
  /// Ends the streams of now: their clients ask again, with the rights that they have then.
  void end_streams();
  /// Ends all streams, and takes no more.
  void end();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::service
