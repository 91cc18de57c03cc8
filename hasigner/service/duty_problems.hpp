#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "hasigner/protection/history.hpp"
#include "hasigner/service/active_request.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

/// A problem of a duty that requests have met at this service.
struct DutyProblem {
  Problem problem;  ///< with a duty; without a signature
  std::string client;
  std::string share;  ///< see ActiveRequest
  std::chrono::system_clock::time_point first_at, last_at;
  std::uint64_t count = 0;   ///< requests that met it
  std::uint64_t number = 0;  ///< of the last of them, among all requests
};

/// Remembers which duties were refused at this service, were in doubt, or were taken away from it. The store does not
/// have this. It is lost when the service ends.
///
/// Requests of one client that meet the same problem of a duty, with the same message, are one entry. That a duty is
/// signed already is usual in a cluster, and has a bound of its own. When there is no room, the oldest entry of the
/// client with most of them goes.
/// Thread safety: one executor.
class DutyProblems {
 public:
  explicit DutyProblems(std::size_t most = 1'000) : usual_(most), others_(most) {}

  /// Does nothing for a problem without a duty.
  void note(const ActiveRequest& request, const Problem& problem);
  /// Those that `viewer` may see, the newest first. The status and the node of the filter are not looked at.
  [[nodiscard]] std::vector<DutyProblem> newest(const Client& viewer, const DutyFilter& filter) const;
  /// The newest that have come after this number, at most so many, the newest first.
  [[nodiscard]] std::vector<DutyProblem> since(std::uint64_t number, std::size_t most) const;
  [[nodiscard]] std::uint64_t last_number() const { return last_number_; }

 private:
  class Entries {
   public:
    explicit Entries(std::size_t most) : most_(most) {}
    void note(DutyProblem seen);
    /// By their numbers.
    [[nodiscard]] const std::map<std::uint64_t, DutyProblem>& all() const { return entries_; }

   private:
    using Name = std::tuple<std::string, DutyKey, std::string, std::string>;

    static Name name_of(const DutyProblem& seen);
    std::map<std::uint64_t, DutyProblem>::iterator take_out(std::map<std::uint64_t, DutyProblem>::iterator entry);
    void make_room();

    std::size_t most_;
    std::map<std::uint64_t, DutyProblem> entries_;
    std::map<Name, std::uint64_t> numbers_;
    std::map<std::string, std::size_t> of_shares_;  ///< without zeros
  };

  [[nodiscard]] std::vector<DutyProblem> select(std::size_t most,
                                                const std::function<bool(const DutyProblem&)>& is_wanted) const;

  Entries usual_, others_;
  std::uint64_t last_number_ = 0;
};

}  // namespace hasigner::service
