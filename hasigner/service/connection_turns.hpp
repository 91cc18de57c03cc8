#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "hasigner/async/asio.hpp"

namespace hasigner::service {

/// How connections share the thread that serves all of them. A client has one turn at a time in the queue of the
/// thread: its handlers run for a few milliseconds, and what is left goes in behind the turns of the others. So what a
/// client asks for waits for one turn of each other client, however many connections these have.
///
/// A handler is what a connection does from one wait to the next: it reads a header, makes an answer, sends a piece of
/// it. Unknown clients count as one client together; within it the turn goes round over their addresses, a handler
/// each.
///
/// Thread safety: handlers may come from any thread. They run on the thread of `executor`, of which there is one.
class ConnectionTurns : public std::enable_shared_from_this<ConnectionTurns> {
  using Handler = std::move_only_function<void()>;

  struct Line;
  struct Group {
    std::deque<std::shared_ptr<Line>> waiting = {};  ///< lines with handlers; the next one in front
    bool is_queued = false;                          ///< their turn is in the queue of the thread, or goes on
  };
  /// The handlers of one client, or of one address.
  struct Line {
    std::shared_ptr<Group> group;
    std::deque<Handler> handlers = {};
  };

 public:
  /// A handler that has begun ends all the same.
  static constexpr std::chrono::microseconds kTurn{4'000};

  /// In which line the handlers of one connection wait.
  class Membership {
   public:
    explicit Membership(std::shared_ptr<ConnectionTurns> turns) : turns_(std::move(turns)) {}
    /// Among those of unknown clients of this address. To be called before any handler comes.
    void join_unknown(const std::string& peer);
    /// Among those of this client, from the next handler on.
    void join(const std::string& client);

   private:
    friend class ConnectionTurns;
    std::shared_ptr<ConnectionTurns> turns_;
    std::shared_ptr<Line> line_;
  };

  /// For Asio: an executor whose functions are handlers of one connection. None runs within a call of execute().
  class Executor {
   public:
    explicit Executor(std::shared_ptr<Membership> membership) : membership_(std::move(membership)) {}
    [[nodiscard]] asio::execution_context& query(asio::execution::context_t) const {
      return asio::query(membership_->turns_->executor_, asio::execution::context);
    }
    [[nodiscard]] Executor require(asio::execution::blocking_t::never_t) const { return *this; }
    template <class Function>
    void execute(Function&& function) const {
      membership_->turns_->submit(*membership_, Handler(std::forward<Function>(function)));
    }
    bool operator==(const Executor&) const noexcept = default;

   private:
    std::shared_ptr<Membership> membership_;
  };

  explicit ConnectionTurns(asio::any_io_executor executor, std::chrono::microseconds turn = kTurn)
      : executor_(std::move(executor)), turn_(turn), unknown_(std::make_shared<Group>()) {}

  /// Handlers that wait.
  [[nodiscard]] std::size_t waiting() const;

  /// Destroys the handlers that wait, and those that still come; they own their connections, whose memberships own this
  /// object. The thread must have ended.
  void close();

 private:
  [[nodiscard]] std::shared_ptr<Line> line_of(const std::string& name, const std::shared_ptr<Group>& group);
  void submit(const Membership& membership, Handler handler);
  void enqueue(const std::shared_ptr<Group>& group);
  void take_turn(const std::shared_ptr<Group>& group);
  [[nodiscard]] Handler next(Group& group);

  const asio::any_io_executor executor_;
  const std::chrono::microseconds turn_;
  const std::shared_ptr<Group> unknown_;
  mutable std::mutex mutex_;  ///< of all that follows, of groups, lines and memberships
  std::size_t waiting_ = 0;
  std::map<std::string, std::weak_ptr<Line>> lines_;
  std::size_t lines_looked_through_at_ = 16;  ///< so many: those that have gone are removed
  bool is_closed_ = false;
};

}  // namespace hasigner::service
