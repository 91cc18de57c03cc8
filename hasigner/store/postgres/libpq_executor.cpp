#include "hasigner/store/postgres/libpq_executor.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/connection_pool.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/libpq_connection.hpp"

namespace hasigner::postgres {

namespace {

constexpr std::string_view kWhoServes = "select pg_backend_pid()";
constexpr milliseconds kSecondConnection{1000};
/// The isolation, the time zone and the time-outs that statements rely on are settings of a session, and so is the
/// answer to the question whether a session that was lost is still at work.
constexpr std::string_view kNoSessions =
    "the pooler between this node and PostgreSQL keeps no session for a connection (its pool mode is transaction or "
    "statement), so settings that signing relies on would be lost: use pool_mode = session, or connect to the server "
    "itself";

using Place = ConnectionPool::Place;
using JobId = ConnectionPool::JobId;
using ReplyHandler = std::move_only_function<void(SqlReply)>;

constexpr std::size_t kMostConnections = 1000;
/// Of so many the oldest has certainly ended.
constexpr std::size_t kMostLostSessions = 10'000;
constexpr milliseconds kVitalLockTimeout{2'000};
/// One locked row must not hold up a whole batch of claims.
constexpr milliseconds kGeneralLockTimeout{200};

constexpr std::string_view kWhichAreAlive =
    "select pid, backend_start, pg_catalog.pg_postmaster_start_time() from pg_catalog.pg_stat_activity where pid = any "
    "($1::int[])";

MonotonicTime now() {
  return std::chrono::steady_clock::now();
}

SqlError not_sent(std::string message) {
  return {SqlErrorKind::kNotSent, {}, std::move(message)};
}

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

struct LibpqExecutor::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor on, PoolConfig with, ConnectionString to)
      : executor(on),
        config(std::move(with)),
        where(std::make_shared<const ConnectionString>(std::move(to))),
        pool(PoolLimits{.max = config.max, .min = config.min, .idle_timeout = config.idle_timeout}),
        places(config.max),
        alarm(on),
        drained(on) {}

  struct Job {
    std::shared_ptr<const SqlRequest> job;
    MonotonicTime wait_until;
    ReplyHandler handler;
  };
  struct Connection {
    std::unique_ptr<LibpqConnection> libpq;
    std::shared_ptr<ConnectProgress> progress;
    std::uint64_t generation = 0;
    MonotonicTime checked_at{};
  };

  void submit(SqlRequest job, ReplyHandler handler);
  void pump();
  void act(const ConnectionPool::Action& action);
  void set_alarm();
  void spawn(asio::awaitable<void> work);
  static asio::awaitable<SqlReply> run(std::shared_ptr<State> self, SqlRequest job);
  static asio::awaitable<std::expected<void, SqlError>> connect_first(std::shared_ptr<State> self,
                                                                      MonotonicTime deadline);
  static asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(std::shared_ptr<State> self,
                                                                            MonotonicTime deadline);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, JobId id, Place place);
  static asio::awaitable<void> open(std::shared_ptr<State> self, Place place);
  static asio::awaitable<std::optional<ConnectFailure>> open_at(std::shared_ptr<State> self, Place place,
                                                                ServerAddress server);
  static asio::awaitable<std::optional<ConnectFailure>> check_session(std::shared_ptr<State> self, Place place);
  static asio::awaitable<void> close(std::shared_ptr<State> self);
  static asio::awaitable<std::optional<ConnectFailure>> check_pooler(std::shared_ptr<State> self, Place place,
                                                                     ServerAddress server);
  static asio::awaitable<bool> keeps_session(std::shared_ptr<State> self, Place place, MonotonicTime deadline);
  static asio::awaitable<bool> check_again(std::shared_ptr<State> self, Place place, MonotonicTime deadline);
  std::optional<std::string> judge(Place place, const SqlRows& rows);
  void end_outdated();
  [[nodiscard]] bool outdated(Place place) const { return places[place].generation != generation; }
  void connected(Place place);
  void not_connected(Place place, ConnectFailure failure);
  void served(JobId id, Place place, SqlReply reply);
  void complete(JobId id, SqlReply reply);
  void fail_waiting(const SqlError& error);
  void shut_down();
  void remember_lost(const SessionId& session);
  void forget_ended(const SqlRows& alive, const std::vector<SessionId>& asked);
  [[nodiscard]] SqlError gave_up() const;
  [[nodiscard]] StatementLimits limits_of(Lane lane) const;

  asio::any_io_executor executor;
  PoolConfig config;
  std::shared_ptr<const ConnectionString> where;
  ConnectionPool pool;
  std::vector<Connection> places;
  std::unordered_map<JobId, Job> jobs;
  JobId last_job = 0;
  std::optional<SessionCheck> check;
  std::uint64_t generation = 0;  ///< of the sessions that may serve; an older one knows a database that was replaced
  std::optional<ConnectFailure> last_failure;  ///< since a connection was last opened
  std::size_t preferred_server = 0;            ///< the one that worked last
  std::size_t starting = 0;                    ///< calls of connect_first that wait
  bool pooler_keeps_sessions = false;          ///< found out with the first connection through a pooler
  std::vector<SessionId> lost;
  std::minstd_rand jitter{std::random_device{}()};
  asio::steady_timer alarm;
  std::optional<MonotonicTime> alarm_time;
  asio::steady_timer drained;
  std::size_t working = 0;  ///< coroutines
  bool closed = false;
  bool pumping = false;
  bool pump_again = false;
};

StatementLimits LibpqExecutor::State::limits_of(Lane lane) const {
  if (lane == Lane::kVital) return {milliseconds::zero(), kVitalLockTimeout};
  return {config.statement_timeout, kGeneralLockTimeout};
}

void LibpqExecutor::State::submit(SqlRequest job, ReplyHandler handler) {
  const JobId id = ++last_job;
  MonotonicTime wait_until = job.deadline;
  if (config.connection_timeout > milliseconds::zero())
    wait_until = std::min(wait_until, now() + config.connection_timeout);
  const SqlPriority priority = job.priority;
  const Lane lane = lane_of(job);
  jobs.emplace(id, Job{std::make_shared<const SqlRequest>(std::move(job)), wait_until, std::move(handler)});
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
    spawn(serve(self, start->job, start->place));
  } else if (const auto* to_open = std::get_if<ConnectionPool::Open>(&action)) {
    spawn(open(self, to_open->place));
  } else if (const auto* to_close = std::get_if<ConnectionPool::Close>(&action)) {
    places[to_close->place].libpq.reset();
  } else if (const auto* give_up = std::get_if<ConnectionPool::GiveUp>(&action)) {
    complete(give_up->job, std::unexpected(gave_up()));
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

asio::awaitable<void> LibpqExecutor::State::serve(std::shared_ptr<State> self, JobId id, Place place) {
  const auto job = self->jobs.at(id).job;
  const bool is_stale =
      job->priority == SqlPriority::kClaim && now() - self->places[place].checked_at > self->config.check_holds;
  if (self->check && is_stale) {
    const bool may_serve = co_await check_again(self, place, job->deadline);
    if (!may_serve) {
      if (self->places[place].libpq) self->places[place].libpq->close();
      self->served(id, place, std::unexpected(not_sent("the session was refused when it was checked again")));
      co_return;
    }
  }
  SqlReply reply = co_await self->places[place].libpq->run(job, self->limits_of(lane_of(*job)));
  self->served(id, place, std::move(reply));
}

asio::awaitable<bool> LibpqExecutor::State::check_again(std::shared_ptr<State> self, Place place,
                                                        MonotonicTime deadline) {
  const MonotonicTime in_time = std::min(deadline, now() + self->where->connect_timeout());
  SqlRequest question{{self->check->statement}, SqlPriority::kHeartbeat, false, in_time};
  const auto job = std::make_shared<const SqlRequest>(std::move(question));
  if (self->places[place].libpq->behind_pooler()) {
    const bool kept = co_await keeps_session(self, place, in_time);
    if (!kept) self->last_failure = ConnectFailure{true, true, std::string(kNoSessions)};
    if (!kept) co_return false;
  }
  SqlReply reply = co_await self->places[place].libpq->run(job, self->limits_of(Lane::kGeneral));
  if (!reply || self->closed) co_return false;
  auto refusal = self->judge(place, reply->front());
  if (!refusal) co_return true;
  self->last_failure = ConnectFailure{true, true, std::move(*refusal)};
  co_return false;
}

/// Nothing: the session may serve.
std::optional<std::string> LibpqExecutor::State::judge(Place place, const SqlRows& rows) {
  SessionVerdict verdict = check->judge(rows);
  if (verdict.refusal) return std::move(verdict.refusal);
  if (verdict.outdates_others) ++generation;
  places[place].generation = generation;
  places[place].checked_at = now();
  if (verdict.outdates_others) end_outdated();
  return std::nullopt;
}

/// Idle sessions end here, busy ones when they have answered.
void LibpqExecutor::State::end_outdated() {
  for (Place place = 0; place < places.size(); ++place) {
    if (!outdated(place) || !places[place].libpq || !pool.is_idle(place)) continue;
    places[place].libpq.reset();
    pool.ended(place);
  }
}

void LibpqExecutor::State::served(JobId id, Place place, SqlReply reply) {
  auto& connection = places[place];
  if (outdated(place) && connection.libpq) {
    connection.libpq->close();
    const bool was_executed = reply || reply.error().kind != SqlErrorKind::kNotSent;
    if (was_executed) {
      reply =
          std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the server that answered has been replaced meanwhile"});
    }
  }
  const bool usable = connection.libpq && connection.libpq->usable() && !closed;
  const bool was_lost = !reply && reply.error().kind == SqlErrorKind::kLost;
  if (was_lost && !usable && connection.libpq) remember_lost(connection.libpq->session());
  if (!usable) connection.libpq.reset();
  pool.finished(place, now(), usable);
  const auto& job = jobs.at(id);
  const bool again = !reply && reply.error().kind == SqlErrorKind::kNotSent && !closed && now() < job.wait_until;
  if (again) {
    pool.add_again(id, job.job->priority, lane_of(*job.job), job.wait_until);
  } else {
    complete(id, std::move(reply));
  }
  pump();
}

void LibpqExecutor::State::complete(JobId id, SqlReply reply) {
  auto node = jobs.extract(id);
  HASIGNER_ASSERT(!node.empty());
  node.mapped().handler(std::move(reply));
}

asio::awaitable<void> LibpqExecutor::State::open(std::shared_ptr<State> self, Place place) {
  const auto& servers = self->where->servers();
  const std::size_t first = self->preferred_server;
  self->places[place].progress = std::make_shared<ConnectProgress>();
  ConnectFailure failure{true, true, {}};
  for (std::size_t i = 0; i < servers.size() && !self->closed; ++i) {
    const std::size_t index = (first + i) % servers.size();
    std::optional<ConnectFailure> one = co_await open_at(self, place, servers[index]);
    if (!one) {
      self->preferred_server = index;
      self->connected(place);
      co_return;
    }
    failure.permanent = failure.permanent && one->permanent;
    failure.incompatible = failure.incompatible && one->incompatible;
    failure.message += (failure.message.empty() ? "" : "; ") + one->message;
  }
  self->not_connected(place, std::move(failure));
}

asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::open_at(std::shared_ptr<State> self, Place place,
                                                                             ServerAddress server) {
  auto& connection = self->places[place];
  const auto deadline = now() + self->where->connect_timeout();
  LibpqConnection::Opened opened = co_await LibpqConnection::open(
      self->executor, self->where, server, self->limits_of(Lane::kGeneral), deadline, connection.progress);
  if (!opened) co_return std::move(opened.error());
  connection.libpq = std::move(*opened);
  std::optional<ConnectFailure> refusal = co_await check_pooler(self, place, server);
  if (!refusal) refusal = co_await check_session(self, place);
  if (!refusal && self->outdated(place)) {
    refusal = ConnectFailure{false, false, "the server has been replaced by another meanwhile"};
  }
  if (self->closed) refusal = ConnectFailure{false, false, "the connection pool was closed"};
  if (refusal) connection.libpq.reset();
  co_return refusal;
}

/// Whether each transaction still gets the same session of the server; asked twice, for poolers that take turns.
asio::awaitable<bool> LibpqExecutor::State::keeps_session(std::shared_ptr<State> self, Place place,
                                                          MonotonicTime deadline) {
  for (int i = 0; i < 2; ++i) {
    SqlReply reply = co_await self->places[place].libpq->run_script(std::string(kWhoServes), deadline);
    const bool same = reply && reply->front().rows.at(0).at(0) == self->places[place].libpq->session().process_id;
    if (!same) co_return false;
  }
  co_return true;
}

/// A pooler that gives a session of the server to each transaction anew has given ours away by now: whoever connects
/// next gets it. A second connection that does not come is no sign of it: the pooler may have no session left to give.
asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::check_pooler(std::shared_ptr<State> self,
                                                                                  Place place, ServerAddress server) {
  if (!self->places[place].libpq->behind_pooler() || self->pooler_keeps_sessions) co_return std::nullopt;
  auto progress = std::make_shared<ConnectProgress>();
  const auto limits = self->limits_of(Lane::kGeneral);
  LibpqConnection::Opened second = co_await LibpqConnection::open(self->executor, self->where, std::move(server),
                                                                  limits, now() + kSecondConnection, progress);
  const bool shared = second && (*second)->session() == self->places[place].libpq->session();
  if (second) second->reset();
  const ConnectFailure refusal{true, true, std::string(kNoSessions)};
  if (shared) co_return refusal;
  const bool kept = co_await keeps_session(self, place, now() + self->where->connect_timeout());
  if (!kept) co_return refusal;
  self->pooler_keeps_sessions = true;
  co_return std::nullopt;
}

asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::check_session(std::shared_ptr<State> self,
                                                                                   Place place) {
  self->places[place].generation = self->generation;
  if (!self->check) co_return std::nullopt;
  self->places[place].progress->waiting_for = "the server has not answered the check of a new session";
  SqlRequest question{{self->check->statement}, SqlPriority::kHeartbeat, false, now() + self->where->connect_timeout()};
  // Asked as if to be confirmed only so that the session's limits stay as they are.
  question.confirm = true;
  const auto job = std::make_shared<const SqlRequest>(std::move(question));
  SqlReply reply = co_await self->places[place].libpq->run(job, self->limits_of(Lane::kGeneral));
  if (!reply) co_return ConnectFailure{false, false, "the check of the new session failed: " + reply.error().message};
  auto refusal = self->judge(place, reply->front());
  if (!refusal) co_return std::nullopt;
  co_return ConnectFailure{true, true, std::move(*refusal)};
}

void LibpqExecutor::State::connected(Place place) {
  last_failure.reset();
  places[place].progress.reset();
  places[place].libpq->on_end_while_idle([weak = weak_from_this(), place] {
    const auto self = weak.lock();
    if (!self || self->closed) return;
    self->places[place].libpq.reset();
    self->pool.ended(place);
    self->pump();
  });
  pool.opened(place, now());
  pump();
}

void LibpqExecutor::State::not_connected(Place place, ConnectFailure failure) {
  places[place].progress.reset();
  pool.open_failed(place, now(), std::uniform_real_distribution<double>(0.0, 1.0)(jitter));
  if (starting > 0 && failure.permanent && pool.connected() == 0) {
    fail_waiting({failure.incompatible ? SqlErrorKind::kIncompatible : SqlErrorKind::kNotSent, {}, failure.message});
  }
  last_failure = std::move(failure);
  pump();
}

SqlError LibpqExecutor::State::gave_up() const {
  const bool incompatible = last_failure && last_failure->incompatible && pool.connected() == 0;
  const SqlErrorKind kind = incompatible ? SqlErrorKind::kIncompatible : SqlErrorKind::kNotSent;
  std::string why;
  if (last_failure) why = last_failure->message;
  for (const auto& place : places) {
    if (why.empty() && place.progress) why = place.progress->waiting_for;
  }
  if (pool.connected() == 0) return {kind, {}, "no connection to the database in time: " + why};
  return {kind,
          {},
          "no database connection came free in time: all " + std::to_string(pool.connected()) + " are in use" +
              (why.empty() ? "" : "; another could not be opened: " + why)};
}

void LibpqExecutor::State::fail_waiting(const SqlError& error) {
  for (const JobId id : pool.waiting_jobs()) {
    pool.remove(id);
    complete(id, std::unexpected(error));
  }
}

void LibpqExecutor::State::shut_down() {
  if (std::exchange(closed, true)) return;
  fail_waiting(not_sent("the connection pool was closed"));
  for (auto& place : places) {
    if (place.progress) place.progress->give_up();
    if (place.libpq) place.libpq->close();
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

void LibpqExecutor::State::remember_lost(const SessionId& session) {
  if (std::ranges::find(lost, session) != lost.end()) return;
  if (lost.size() >= kMostLostSessions) lost.erase(lost.begin());
  lost.push_back(session);
}

/// A session of another server, or of an earlier life of this one, has ended.
void LibpqExecutor::State::forget_ended(const SqlRows& alive, const std::vector<SessionId>& asked) {
  std::vector<SessionId> left;
  for (const auto& session : asked) {
    for (const auto& row : alive.rows) {
      const SessionId found{row.at(0).value_or(""), row.at(1).value_or(""), row.at(2).value_or("")};
      if (found == session) left.push_back(session);
    }
  }
  std::erase_if(lost, [&](const SessionId& session) {
    const bool was_asked = std::ranges::find(asked, session) != asked.end();
    return was_asked && std::ranges::find(left, session) == left.end();
  });
}

asio::awaitable<SqlReply> LibpqExecutor::State::run(std::shared_ptr<State> self, SqlRequest job) {
  auto initiate = [self, job = std::move(job)](auto handler) mutable {
    auto on = asio::get_associated_executor(handler, self->executor);
    auto work = asio::make_work_guard(on);
    self->submit(std::move(job), [on, work = std::move(work), handler = std::move(handler)](SqlReply reply) mutable {
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
  // A job without statements only needs a connection.
  SqlRequest job{{}, SqlPriority::kBackground, false, deadline};
  ++self->starting;
  SqlReply reply = co_await run(self, std::move(job));
  --self->starting;
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  co_return std::expected<void, SqlError>();
}

asio::awaitable<std::expected<bool, SqlError>> LibpqExecutor::State::lost_sessions_alive(std::shared_ptr<State> self,
                                                                                         MonotonicTime deadline) {
  const std::vector<SessionId> asked = self->lost;
  if (asked.empty()) co_return false;
  std::string ids;
  for (const auto& session : asked) ids += (ids.empty() ? "{" : ",") + session.process_id;
  SqlRequest job{{}, SqlPriority::kRelease, false, deadline};
  job.statements.push_back({kWhichAreAlive, {ids + "}"}});
  SqlReply reply = co_await run(self, std::move(job));
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  self->forget_ended(reply->front(), asked);
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

asio::awaitable<SqlReply> LibpqExecutor::run(SqlRequest job) {
  return State::run(state_, std::move(job));
}

asio::awaitable<std::expected<void, SqlError>> LibpqExecutor::connect_first(MonotonicTime deadline) {
  return State::connect_first(state_, deadline);
}

void LibpqExecutor::set_session_check(SessionCheck check) {
  state_->check = std::move(check);
}

std::size_t LibpqExecutor::parallel_jobs() const {
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
