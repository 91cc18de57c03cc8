#pragma once

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hasigner/protection/async.hpp"

namespace hasigner::service {

/// Gives turns for work, round robin over the clients that wait for one, so that a client waits for the turns that are
/// being used and for at most one turn of each other client before its own.
///
/// A turn is for some units of work. A client alone may use as many at once as the limits say; beside others it uses
/// few, so that theirs do not wait behind its own. A turn of more units than are allowed is given when the client, or
/// the queue, has no other turn.
/// Thread safety: one executor, also for turns.
class FairQueue {
 public:
  struct Limits {
    std::size_t of_all;         ///< units at once
    std::size_t of_one_alone;   ///< while no other client is present
    std::size_t of_one_beside;  ///< beside others
    /// A client is present while it waits or has a turn, and for this long afterwards.
    std::chrono::milliseconds present_for{1'000};
  };

 private:
  using SteadyClock = std::chrono::steady_clock;

  struct Waiter {
    std::size_t units = 0;
    bool has_turn = false;
    std::move_only_function<void()> resume = {};
  };
  struct Member {
    std::size_t used = 0;
    std::deque<std::shared_ptr<Waiter>> waiting = {};
    SteadyClock::time_point last_used = {};
    std::list<std::map<std::string, Member>::iterator>::iterator entry = {};  ///< among the present ones
  };
  using Members = std::map<std::string, Member>;

 public:
  /// A turn in use. It ends when it is destroyed, or before.
  class Turn {
   public:
    Turn(std::shared_ptr<FairQueue> queue, Member& member, std::size_t units, bool has_waited)
        : has_waited_(has_waited), queue_(std::move(queue)), member_(&member), units_(units) {}
    ~Turn() { end(); }
    Turn(Turn&& other) noexcept
        : has_waited_(other.has_waited_),
          queue_(std::exchange(other.queue_, nullptr)),
          member_(other.member_),
          units_(other.units_) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    Turn& operator=(Turn&&) = delete;

    [[nodiscard]] bool has_waited() const { return has_waited_; }
    void end() {
      if (const auto queue = std::exchange(queue_, nullptr)) queue->take_back(*member_, units_);
    }

   private:
    bool has_waited_;
    std::shared_ptr<FairQueue> queue_;
    Member* member_;
    std::size_t units_;
  };

  FairQueue(asio::any_io_executor executor, Limits limits) : executor_(std::move(executor)), limits_(limits) {}

  /// Waits for a turn of this client.
  static asio::awaitable<Turn> take(std::shared_ptr<FairQueue> self, std::string client, std::size_t units) {
    auto& member = self->member_of(std::move(client));
    const auto waiter = std::make_shared<Waiter>(Waiter{.units = units});
    if (member.waiting.empty()) self->ring_.push_back(&member);
    member.waiting.push_back(waiter);
    self->give_turns();
    const bool must_wait = !waiter->has_turn;
    if (must_wait) {
      auto keep_resume = [waiter](std::move_only_function<void()> resume) { waiter->resume = std::move(resume); };
      auto suspension = suspend(std::move(keep_resume));
      co_await std::move(suspension);
    }
    co_return Turn(self, member, units, must_wait);
  }

  /// Destroys the coroutines that wait; they own what they wait for. No turn is given any more.
  void close() {
    is_closed_ = true;
    ring_.clear();
    std::vector<std::move_only_function<void()>> coroutines;
    for (auto& [name, member] : members_) {
      for (auto& waiter : member.waiting) coroutines.push_back(std::exchange(waiter->resume, nullptr));
      member.waiting.clear();
    }
  }

  [[nodiscard]] std::size_t waiting() const {
    std::size_t count = 0;
    for (const auto* member : ring_) count += member->waiting.size();
    return count;
  }

 private:
  Member& member_of(std::string client) {
    const auto [found, is_new] = members_.try_emplace(std::move(client));
    auto& member = found->second;
    if (is_new) member.entry = present_.insert(present_.end(), found);
    note_use(member);
    return member;
  }

  void note_use(Member& member) {
    present_.splice(present_.end(), present_, member.entry);
    member.last_used = SteadyClock::now();
  }

  void forget_the_absent() {
    const auto now = SteadyClock::now();
    while (!present_.empty() && is_gone(present_.front()->second, now)) {
      members_.erase(present_.front());
      present_.pop_front();
    }
  }

  [[nodiscard]] bool is_gone(const Member& member, SteadyClock::time_point now) const {
    return member.used == 0 && member.waiting.empty() && now - member.last_used > limits_.present_for;
  }

  [[nodiscard]] bool fits_all(const Waiter& waiter) const {
    return used_ == 0 || used_ + waiter.units <= limits_.of_all;
  }
  [[nodiscard]] bool fits_one(const Member& member, const Waiter& waiter) const {
    const auto limit = members_.size() > 1 ? limits_.of_one_beside : limits_.of_one_alone;
    return member.used == 0 || member.used + waiter.units <= limit;
  }

  /// Gives turns until no client in the ring can have one.
  void give_turns() {
    forget_the_absent();
    std::size_t passed = 0;
    while (!is_closed_ && passed < ring_.size()) {
      auto& member = *ring_.front();
      const auto& waiter = member.waiting.front();
      // What waits for the queue as a whole is not overtaken, or a large turn would never come.
      if (!fits_all(*waiter)) return;
      const bool fits = fits_one(member, *waiter);
      if (fits) give_turn(member);
      passed = fits ? 0 : passed + 1;
      ring_.pop_front();
      if (!member.waiting.empty()) ring_.push_back(&member);
    }
  }

  void give_turn(Member& member) {
    const auto waiter = std::move(member.waiting.front());
    member.waiting.pop_front();
    member.used += waiter->units;
    used_ += waiter->units;
    waiter->has_turn = true;
    if (waiter->resume) asio::post(executor_, std::move(waiter->resume));
  }

  void take_back(Member& member, std::size_t units) {
    member.used -= units;
    used_ -= units;
    note_use(member);
    give_turns();
  }

  const asio::any_io_executor executor_;
  const Limits limits_;
  Members members_;
  std::list<Members::iterator> present_;  ///< the one that was used last at the end
  std::list<Member*> ring_;               ///< who waits; the next one in front
  std::size_t used_ = 0;
  bool is_closed_ = false;
};

}  // namespace hasigner::service
