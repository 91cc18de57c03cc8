#include "hasigner/keys/http_client.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "hasigner/duty/assert.hpp"

namespace hasigner::keys {

namespace {

HttpDeadline now() {
  return std::chrono::steady_clock::now();
}

std::string shown(milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

}  // namespace

/// Counts connections, keeps idle ones, and gives them to the callers that wait in turn; to those of one caller in the
/// order in which they came.
///
/// Thread safety: the strand.
class HttpClient::Pool : public std::enable_shared_from_this<Pool> {
 public:
  /// A call that waits for a connection, or for the right to open one.
  struct Waiter {
    Waiter(asio::any_io_executor executor, std::string caller_in, HttpDeadline deadline)
        : turn(std::move(executor), deadline), caller(std::move(caller_in)) {}
    asio::steady_timer turn;
    std::string caller;
    bool is_served = false;
    std::unique_ptr<HttpConnection> connection;
  };

  Pool(asio::any_io_executor strand, const Web3SignerSettings& settings)
      : strand_(std::move(strand)), settings_(settings) {}

  /// An idle connection that can be reused. Returns null when there is none.
  std::unique_ptr<HttpConnection> take_idle() {
    while (!idle_.empty()) {
      auto [connection, since] = std::move(idle_.back());
      idle_.pop_back();
      if (now() - since < settings_.idle_timeout && connection->can_be_reused()) return std::move(connection);
      --open_;
    }
    return nullptr;
  }
  /// Takes the right to open one more connection.
  bool reserve() {
    if (open_ >= settings_.max_connections) return false;
    ++open_;
    return true;
  }
  /// Refuses when too many calls wait already: a caller leaves the others as many places as it has itself.
  HttpResult<std::shared_ptr<Waiter>> wait(std::string caller, HttpDeadline deadline) {
    const auto found = waiters_.find(caller);
    const std::size_t own = found == waiters_.end() ? 0 : found->second.size();
    if (waiting_ + own >= settings_.max_waiting) {
      return std::unexpected(HttpFailure{"was not asked: " + std::to_string(waiting_) +
                                         " calls wait for a connection already, " + std::to_string(own) +
                                         " of them of this client; it leaves others as many of the " +
                                         std::to_string(settings_.max_waiting) + " places as it has itself"});
    }
    auto waiter = std::make_shared<Waiter>(strand_, std::move(caller), deadline);
    auto& queue = waiters_[waiter->caller];
    if (queue.empty()) turns_.push_back(waiter->caller);
    ++waiting_;
    return queue.emplace_back(std::move(waiter));
  }
  /// Removes a waiter, and takes back what it was given.
  void leave(const std::shared_ptr<Waiter>& waiter) {
    if (waiter->is_served) return give_back(std::move(waiter->connection));
    auto& queue = waiters_.at(waiter->caller);
    queue.erase(std::ranges::find(queue, waiter));
    --waiting_;
    if (!queue.empty()) return;
    waiters_.erase(waiter->caller);
    turns_.erase(std::ranges::find(turns_, waiter->caller));
  }

  /// Takes a connection back, or, with null, the right to open one.
  void give_back(std::unique_ptr<HttpConnection> connection) {
    if (connection && !connection->can_be_reused()) connection.reset();
    if (waiting_ > 0) {
      const auto next = take_next();
      next->is_served = true;
      next->connection = std::move(connection);
      next->turn.cancel();
    } else if (connection) {
      idle_.emplace_back(std::move(connection), now());
    } else {
      HASIGNER_ASSERT(open_ > 0);
      --open_;
    }
  }

 private:
  std::shared_ptr<Waiter> take_next() {
    const auto entry = waiters_.find(turns_.front());
    turns_.pop_front();
    auto next = std::move(entry->second.front());
    entry->second.pop_front();
    --waiting_;
    if (entry->second.empty()) {
      waiters_.erase(entry);
    } else {
      turns_.push_back(next->caller);
    }
    return next;
  }

  asio::any_io_executor strand_;
  Web3SignerSettings settings_;
  std::size_t open_ = 0;  ///< idle, in use, or about to be opened
  std::vector<std::pair<std::unique_ptr<HttpConnection>, HttpDeadline>> idle_;
  std::map<std::string, std::deque<std::shared_ptr<Waiter>>> waiters_;  ///< by caller
  std::deque<std::string> turns_;                                       ///< callers that wait; the next one in front
  std::size_t waiting_ = 0;                                             ///< of all callers
};

/// The right to one connection. The destructor gives it back.
class HttpClient::Lease {
 public:
  Lease(std::shared_ptr<Pool> pool, std::unique_ptr<HttpConnection> connection_or_null)
      : connection(std::move(connection_or_null)), pool_(std::move(pool)) {}
  ~Lease() {
    if (pool_) pool_->give_back(is_good ? std::move(connection) : nullptr);
  }
  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  std::unique_ptr<HttpConnection> connection;  ///< null until it is opened
  bool is_good = false;                        ///< whether the next call may use the connection

 private:
  std::shared_ptr<Pool> pool_;
};

/// An entry in the queue of the pool. The destructor leaves the queue.
class HttpClient::QueueEntry {
 public:
  QueueEntry(std::shared_ptr<Pool> pool, std::shared_ptr<Pool::Waiter> waiter)
      : pool_(std::move(pool)), waiter_(std::move(waiter)) {}
  ~QueueEntry() {
    if (waiter_) pool_->leave(waiter_);
  }
  QueueEntry(const QueueEntry&) = delete;
  QueueEntry& operator=(const QueueEntry&) = delete;

  [[nodiscard]] asio::steady_timer& turn() { return waiter_->turn; }
  [[nodiscard]] bool is_served() const { return waiter_->is_served; }
  /// The lease, once is_served().
  [[nodiscard]] Lease take() {
    const auto waiter = std::exchange(waiter_, nullptr);
    return {pool_, std::move(waiter->connection)};
  }

 private:
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<Pool::Waiter> waiter_;
};

struct HttpClient::Call {
  std::string caller;
  std::shared_ptr<const HttpRequest> request;
  HttpDeadline deadline;
};

HttpClient::HttpClient(HttpEndpoint endpoint, Web3SignerSettings settings, const asio::any_io_executor& network)
    : endpoint_(std::make_shared<const HttpEndpoint>(std::move(endpoint))),
      settings_(std::move(settings)),
      strand_(asio::make_strand(network)),
      pool_(std::make_shared<Pool>(strand_, settings_)) {}

HttpClient::~HttpClient() = default;

asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> HttpClient::connect(HttpDeadline deadline) const {
  return open_http_connection(endpoint_, std::min(deadline, now() + settings_.connect_timeout));
}

asio::awaitable<HttpResult<HttpClient::Lease>> HttpClient::get_connection(std::shared_ptr<HttpClient> self,
                                                                          std::string caller, HttpDeadline deadline) {
  const auto pool = self->pool_;
  if (auto idle = pool->take_idle()) co_return Lease(pool, std::move(idle));
  if (pool->reserve()) co_return Lease(pool, nullptr);
  auto waiter = pool->wait(std::move(caller), deadline);
  if (!waiter) co_return std::unexpected(std::move(waiter.error()));
  QueueEntry entry(pool, std::move(*waiter));
  boost::system::error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await entry.turn().async_wait(token);
  // The entry gives a connection that comes too late to the next call.
  if (entry.is_served() && now() < deadline) co_return entry.take();
  co_return std::unexpected(
      HttpFailure{"was not asked: no connection became free within " + shown(self->settings_.call_timeout)});
}

asio::awaitable<HttpResult<HttpAnswer>> HttpClient::run(std::shared_ptr<HttpClient> self, Call call) {
  auto lease = co_await get_connection(self, std::move(call.caller), call.deadline);
  if (!lease) co_return std::unexpected(std::move(lease.error()));
  if (lease->connection) {
    auto answer = co_await lease->connection->exchange(call.request, call.deadline);
    lease->is_good = answer.has_value();
    if (answer || !answer.error().closed_without_answer) co_return answer;
  }
  auto connection = co_await self->connect(call.deadline);
  if (!connection) {
    lease->connection.reset();
    co_return std::unexpected(std::move(connection.error()));
  }
  lease->connection = std::move(*connection);
  auto answer = co_await lease->connection->exchange(call.request, call.deadline);
  lease->is_good = answer.has_value();
  co_return answer;
}

asio::awaitable<HttpResult<HttpAnswer>> HttpClient::post(std::string caller, std::string body,
                                                         std::size_t max_answer_bytes) {
  Call call{
      std::move(caller),
      std::make_shared<const HttpRequest>(HttpRequest{.json = std::move(body), .max_answer_bytes = max_answer_bytes}),
      now() + settings_.call_timeout};
  auto running = run(shared_from_this(), std::move(call));
  auto answer = co_await asio::co_spawn(strand_, std::move(running), asio::use_awaitable);
  co_return answer;
}

}  // namespace hasigner::keys
