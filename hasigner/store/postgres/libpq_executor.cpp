#include "hasigner/store/postgres/libpq_executor.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/libpq_executor_state.hpp"

namespace hasigner::postgres {

namespace {

constexpr std::size_t kMostConnections = 1000;
constexpr milliseconds kVitalLockTimeout{2'000};
/// One locked row must not hold up a whole batch of claims.
constexpr milliseconds kGeneralLockTimeout{200};
constexpr std::string_view kAskedElsewhere =
    "another server, or the same one started anew, answers since this was asked; nothing was sent to it, ask again";

std::optional<InvalidInput> complaint_about(const PoolConfig& config) {
  const auto wrong = [](std::string field, auto value, std::string allowed) {
    return InvalidInput{std::move(field), std::to_string(value), std::move(allowed)};
  };
  if (config.max < 1 || config.max > kMostConnections) return wrong("pool max", config.max, "a number from 1 to 1000");
  if (config.min > config.max)
    return wrong("pool min", config.min, "at most the pool's max, which is " + std::to_string(config.max));
  if (config.idle_timeout.count() < 0)
    return wrong("pool idle timeout", config.idle_timeout.count(), "0 or more milliseconds");
  if (config.connection_timeout.count() < 0)
    return wrong("pool connection timeout", config.connection_timeout.count(), "0 or more milliseconds");
  if (config.statement_timeout.count() < 1)
    return wrong("statement timeout", config.statement_timeout.count(), "1 or more milliseconds");
  return std::nullopt;
}

}  // namespace

StatementLimits LibpqExecutor::State::limits_of(Lane lane) const {
  if (lane == Lane::kVital) return {milliseconds::zero(), kVitalLockTimeout};
  return {config.statement_timeout, kGeneralLockTimeout};
}

void LibpqExecutor::State::submit(SqlRequest request, ReplyHandler handler) {
  const RequestId id = ++last_request;
  MonotonicTime wait_until = request.deadline;
  if (config.connection_timeout > milliseconds::zero())
    wait_until = std::min(wait_until, now() + config.connection_timeout);
  const SqlPriority priority = request.priority;
  const Lane lane = lane_of(request);
  requests.emplace(
      id, WaitingRequest{std::make_shared<const SqlRequest>(std::move(request)), wait_until, std::move(handler)});
  if (closed) {
    complete(id, std::unexpected(not_sent("the connection pool is closed")));
  } else if (!pool.add(id, priority, lane, wait_until)) {
    complete(id, std::unexpected(not_sent("too many database calls are waiting for a connection")));
  } else {
    pump();
  }
}

/// Lets the pool decide until it has nothing more to decide. What it starts may end at once and ask for another round.
void LibpqExecutor::State::pump() {
  pump_again = true;
  if (pumping) return;
  pumping = true;
  while (std::exchange(pump_again, false)) {
    for (const auto& action : pool.decide(now())) act(action);
  }
  pumping = false;
  set_alarm();
}

void LibpqExecutor::State::act(const ConnectionPool::Action& action) {
  const auto self = shared_from_this();
  if (const auto* start = std::get_if<ConnectionPool::Start>(&action)) {
    spawn(serve(self, start->request, start->connection));
  } else if (const auto* to_open = std::get_if<ConnectionPool::Open>(&action)) {
    spawn(open(self, to_open->connection));
  } else if (const auto* to_close = std::get_if<ConnectionPool::Close>(&action)) {
    connections[to_close->connection].libpq.reset();
  } else if (const auto* give_up = std::get_if<ConnectionPool::GiveUp>(&action)) {
    complete(give_up->request, std::unexpected(gave_up()));
  }
}

/// An alarm that rings early does no harm, so it is only ever set anew for an earlier time.
void LibpqExecutor::State::set_alarm() {
  const auto next = closed ? std::nullopt : pool.next_decision();
  if (!next || (alarm_time && *alarm_time <= *next)) return;
  alarm_time = next;
  alarm.expires_at(*next);
  alarm.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!self || error) return;
    self->alarm_time.reset();
    self->pump();
  });
}

void LibpqExecutor::State::spawn(asio::awaitable<void> work) {
  ++working;
  asio::co_spawn(executor, std::move(work), [self = shared_from_this()](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
    if (--self->working == 0) self->drained.cancel();
  });
}

asio::awaitable<void> LibpqExecutor::State::serve(std::shared_ptr<State> self, RequestId id, ConnectionIndex index) {
  const auto request = self->requests.at(id).request;
  const bool is_checked = request->priority == SqlPriority::kClaim || self->config.checks_every_request;
  const bool is_stale = is_checked && now() - self->connections[index].checked_at > self->config.check_holds;
  if (self->check && is_stale) {
    const bool may_serve = co_await check_again(self, index, request->deadline);
    if (!may_serve) {
      if (self->connections[index].libpq) self->connections[index].libpq->close();
      self->served(id, index, std::unexpected(not_sent("the session was refused when it was checked again")));
      co_return;
    }
  }
  // Nothing is awaited between this question and the request's way to the server.
  if (request->is_refused()) {
    self->served(id, index, std::unexpected(not_sent(std::string(kAskedElsewhere))));
    co_return;
  }
  SqlReply reply = co_await self->connections[index].libpq->run(request, self->limits_of(lane_of(*request)));
  self->served(id, index, std::move(reply));
}

void LibpqExecutor::State::served(RequestId id, ConnectionIndex index, SqlReply reply) {
  auto& connection = connections[index];
  if (outdated(index) && connection.libpq) {
    connection.libpq->close();
    const bool was_executed = reply || reply.error().kind != SqlErrorKind::kNotSent;
    if (was_executed) {
      reply =
          std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the server that answered has been replaced meanwhile"});
    }
  }
  const bool usable = connection.libpq && connection.libpq->usable() && !closed;
  const bool was_lost = !reply && reply.error().kind == SqlErrorKind::kLost;
  if (was_lost && !usable && connection.libpq) lost.add(connection.libpq->session());
  if (usable) {
    pool.finished(index, now());
  } else {
    connection.libpq.reset();
    pool.broke(index);
  }
  const auto& waiting = requests.at(id);
  const bool again = !reply && reply.error().kind == SqlErrorKind::kNotSent && !closed && now() < waiting.wait_until &&
                     !waiting.request->is_refused();
  if (again) {
    pool.add_again(id, waiting.request->priority, lane_of(*waiting.request), waiting.wait_until);
  } else {
    complete(id, std::move(reply));
  }
  pump();
}

void LibpqExecutor::State::complete(RequestId id, SqlReply reply) {
  auto node = requests.extract(id);
  HASIGNER_ASSERT(!node.empty());
  node.mapped().handler(std::move(reply));
}

SqlError LibpqExecutor::State::gave_up() const {
  const bool incompatible = last_failure && last_failure->incompatible && pool.connected() == 0;
  const SqlErrorKind kind = incompatible ? SqlErrorKind::kIncompatible : SqlErrorKind::kNotSent;
  std::string why;
  if (last_failure) why = last_failure->message;
  for (const auto& connection : connections) {
    if (why.empty() && connection.progress) why = connection.progress->waiting_for;
  }
  if (pool.connected() == 0) return {kind, {}, "no connection to the database in time: " + why};
  return {kind,
          {},
          "no database connection came free in time: all " + std::to_string(pool.connected()) + " are in use" +
              (why.empty() ? "" : "; another could not be opened: " + why)};
}

void LibpqExecutor::State::fail_waiting(const SqlError& error) {
  for (const RequestId id : pool.waiting_requests()) {
    pool.remove(id);
    complete(id, std::unexpected(error));
  }
}

void LibpqExecutor::State::shut_down() {
  if (std::exchange(closed, true)) return;
  fail_waiting(not_sent("the connection pool was closed"));
  for (auto& connection : connections) {
    if (connection.progress) connection.progress->give_up();
    if (connection.libpq) connection.libpq->close();
  }
  alarm.cancel();
}

asio::awaitable<void> LibpqExecutor::State::close(std::shared_ptr<State> self) {
  self->shut_down();
  while (self->working > 0) {
    boost::system::error_code ignored;
    self->drained.expires_at(MonotonicTime::max());
    co_await self->drained.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<SqlReply> LibpqExecutor::State::run(std::shared_ptr<State> self, SqlRequest request) {
  auto initiate = [self, request = std::move(request)](auto handler) mutable {
    auto on = asio::get_associated_executor(handler, self->executor);
    auto work = asio::make_work_guard(on);
    self->submit(std::move(request),
                 [on, work = std::move(work), handler = std::move(handler)](SqlReply reply) mutable {
                   // By way of the executor, because the pool is in the midst of something.
                   asio::post(on, [handler = std::move(handler), reply = std::move(reply)]() mutable {
                     std::move(handler)(std::move(reply));
                   });
                 });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void(SqlReply)>(std::move(initiate), asio::use_awaitable);
}

asio::awaitable<std::expected<void, SqlError>> LibpqExecutor::State::connect_first(std::shared_ptr<State> self,
                                                                                   MonotonicTime deadline) {
  // A request without statements only needs a connection.
  SqlRequest request{.priority = SqlPriority::kBackground, .deadline = deadline};
  ++self->starting;
  SqlReply reply = co_await run(self, std::move(request));
  --self->starting;
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  co_return std::expected<void, SqlError>();
}

asio::awaitable<std::expected<bool, SqlError>> LibpqExecutor::State::lost_sessions_alive(std::shared_ptr<State> self,
                                                                                         MonotonicTime deadline) {
  if (self->lost.empty()) co_return false;
  const std::vector<SessionId> asked = self->lost.all();
  SqlRequest request{.priority = SqlPriority::kRelease, .deadline = deadline};
  request.statements.push_back(self->lost.which_are_alive());
  SqlReply reply = co_await run(self, std::move(request));
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  self->lost.forget_ended(reply->front(), asked);
  co_return !self->lost.empty();
}

Parsed<std::shared_ptr<LibpqExecutor>> LibpqExecutor::create(asio::any_io_executor executor, PoolConfig config) {
  if (auto complaint = complaint_about(config)) return std::unexpected(std::move(*complaint));
  auto where = ConnectionString::parse(config.url);
  if (!where) return std::unexpected(std::move(where.error()));
  auto state = std::make_shared<State>(std::move(executor), std::move(config), std::move(*where));
  return std::shared_ptr<LibpqExecutor>(new LibpqExecutor(std::move(state)));
}

LibpqExecutor::LibpqExecutor(std::shared_ptr<State> state) : state_(std::move(state)) {}

LibpqExecutor::~LibpqExecutor() {
  state_->shut_down();
}

asio::awaitable<SqlReply> LibpqExecutor::run(SqlRequest request) {
  return State::run(state_, std::move(request));
}

asio::awaitable<std::expected<void, SqlError>> LibpqExecutor::connect_first(MonotonicTime deadline) {
  return State::connect_first(state_, deadline);
}

void LibpqExecutor::set_session_check(SessionCheck check) {
  state_->check = std::move(check);
}

std::size_t LibpqExecutor::parallel_requests() const {
  return std::max<std::size_t>(1, state_->config.max - 1);
}

std::optional<ConnectionCounts> LibpqExecutor::connections() const {
  const auto& pool = state_->pool;
  return ConnectionCounts{.open = pool.connected(), .opening = pool.opening(), .waiting = pool.waiting()};
}

asio::awaitable<std::expected<bool, SqlError>> LibpqExecutor::lost_sessions_alive(MonotonicTime deadline) {
  return State::lost_sessions_alive(state_, deadline);
}

asio::awaitable<void> LibpqExecutor::close() {
  return State::close(state_);
}

const std::string& LibpqExecutor::shown_url() const {
  return state_->where->shown();
}

}  // namespace hasigner::postgres
