#include <utility>

#include "hasigner/store/postgres/libpq_executor_state.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {

namespace {

constexpr milliseconds kSecondConnection{1000};
/// Connecting again ends the same way, because this is not the database or the server that was expected.
ConnectFailure refused_for_good(std::string message) {
  return {.permanent = true, .incompatible = true, .message = std::move(message)};
}

}  // namespace

asio::awaitable<void> LibpqExecutor::State::open(std::shared_ptr<State> self, ConnectionIndex index) {
  const auto& servers = self->where->servers();
  const std::size_t first = self->preferred_server;
  self->connections[index].progress = std::make_shared<ConnectProgress>();
  ConnectFailure failure{.permanent = true, .incompatible = true};
  for (std::size_t i = 0; i < servers.size() && !self->closed; ++i) {
    const std::size_t server = (first + i) % servers.size();
    std::optional<ConnectFailure> one = co_await open_at(self, index, servers[server]);
    if (!one) {
      self->preferred_server = server;
      self->connected(index);
      co_return;
    }
    failure.permanent = failure.permanent && one->permanent;
    failure.incompatible = failure.incompatible && one->incompatible;
    failure.message += (failure.message.empty() ? "" : "; ") + one->message;
  }
  self->not_connected(index, std::move(failure));
}

asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::open_at(std::shared_ptr<State> self,
                                                                             ConnectionIndex index,
                                                                             ServerAddress server) {
  auto& connection = self->connections[index];
  const auto deadline = now() + self->where->connect_timeout();
  LibpqConnection::Opened opened = co_await LibpqConnection::open(
      self->executor, self->where, server, self->limits_of(Lane::kGeneral), deadline, connection.progress);
  if (!opened) co_return std::move(opened.error());
  connection.libpq = std::move(*opened);
  std::optional<ConnectFailure> refusal = co_await check_pooler(self, index, server);
  if (!refusal) refusal = co_await check_session(self, index);
  if (!refusal && self->outdated(index)) {
    refusal = ConnectFailure{.message = "the server has been replaced by another meanwhile"};
  }
  if (self->closed) refusal = ConnectFailure{.message = "the connection pool was closed"};
  if (refusal) connection.libpq.reset();
  co_return refusal;
}

/// Whether each transaction still gets the same session of the server; asked twice, for poolers that take turns.
asio::awaitable<bool> LibpqExecutor::State::keeps_session(std::shared_ptr<State> self, ConnectionIndex index,
                                                          MonotonicTime deadline) {
  for (int i = 0; i < 2; ++i) {
    std::string question = sql_texts(kNewestSchemaVersion).session_process;
    SqlReply reply = co_await self->connections[index].libpq->run_script(std::move(question), deadline);
    const bool same = reply && reply->front().rows.at(0).at(0) == self->connections[index].libpq->session().process_id;
    if (!same) co_return false;
  }
  co_return true;
}

/// A pooler that gives a session of the server to each transaction anew has given ours away by now: the next
/// connection gets it. A second connection that does not come is not a sign of it: the pooler may have no session left
/// to give.
asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::check_pooler(std::shared_ptr<State> self,
                                                                                  ConnectionIndex index,
                                                                                  ServerAddress server) {
  if (!self->connections[index].libpq->behind_pooler() || self->pooler_keeps_sessions) co_return std::nullopt;
  auto progress = std::make_shared<ConnectProgress>();
  const auto limits = self->limits_of(Lane::kGeneral);
  LibpqConnection::Opened second = co_await LibpqConnection::open(self->executor, self->where, std::move(server),
                                                                  limits, now() + kSecondConnection, progress);
  const bool shared = second && (*second)->session() == self->connections[index].libpq->session();
  if (second) second->reset();
  const ConnectFailure refusal = refused_for_good(std::string(kPoolerKeepsNoSessions));
  if (shared) co_return refusal;
  const bool kept = co_await keeps_session(self, index, now() + self->where->connect_timeout());
  if (!kept) co_return refusal;
  self->pooler_keeps_sessions = true;
  co_return std::nullopt;
}

asio::awaitable<std::optional<ConnectFailure>> LibpqExecutor::State::check_session(std::shared_ptr<State> self,
                                                                                   ConnectionIndex index) {
  self->connections[index].generation = self->generation;
  if (!self->check) co_return std::nullopt;
  self->connections[index].progress->waiting_for = "the server has not answered the check of a new session";
  const MonotonicTime deadline = now() + self->where->connect_timeout();
  // Asked as if to be confirmed only so that the session's limits stay as they are.
  auto answer = co_await ask_check(self, index, deadline, Confirm::kYes);
  if (!answer) co_return ConnectFailure{.message = "the check of the new session failed: " + answer.error().message};
  auto refusal = self->accept(index, std::move(*answer));
  if (!refusal) co_return std::nullopt;
  co_return refused_for_good(std::move(*refusal));
}

asio::awaitable<std::expected<SessionVerdict, SqlError>> LibpqExecutor::State::ask_check(std::shared_ptr<State> self,
                                                                                         ConnectionIndex index,
                                                                                         MonotonicTime deadline,
                                                                                         Confirm confirm) {
  std::function<asio::awaitable<SqlReply>(SqlStatement)> ask = [self, index, deadline,
                                                                confirm](SqlStatement statement) {
    const auto request = std::make_shared<const SqlRequest>(SqlRequest{.statements = {std::move(statement)},
                                                                       .priority = SqlPriority::kHeartbeat,
                                                                       .confirm = confirm == Confirm::kYes,
                                                                       .deadline = deadline});
    return self->connections[index].libpq->run(request, self->limits_of(Lane::kGeneral));
  };
  auto answer = co_await run_check(*self->check, std::move(ask));
  co_return answer;
}

asio::awaitable<bool> LibpqExecutor::State::check_again(std::shared_ptr<State> self, ConnectionIndex index,
                                                        MonotonicTime deadline) {
  const MonotonicTime in_time = std::min(deadline, now() + self->where->connect_timeout());
  if (self->connections[index].libpq->behind_pooler()) {
    const bool kept = co_await keeps_session(self, index, in_time);
    if (!kept) self->last_failure = refused_for_good(std::string(kPoolerKeepsNoSessions));
    if (!kept) co_return false;
  }
  auto answer = co_await ask_check(self, index, in_time, Confirm::kNo);
  if (!answer || self->closed) co_return false;
  auto refusal = self->accept(index, std::move(*answer));
  if (!refusal) co_return true;
  self->last_failure = refused_for_good(std::move(*refusal));
  co_return false;
}

/// Returns nullopt when the session may serve.
std::optional<std::string> LibpqExecutor::State::accept(ConnectionIndex index, SessionVerdict verdict) {
  if (verdict.refusal) return std::move(verdict.refusal);
  if (verdict.outdates_others) ++generation;
  connections[index].generation = generation;
  connections[index].checked_at = now();
  if (verdict.outdates_others) end_outdated();
  return std::nullopt;
}

/// Idle sessions end here, busy ones when they have answered.
void LibpqExecutor::State::end_outdated() {
  for (ConnectionIndex index = 0; index < connections.size(); ++index) {
    if (!outdated(index) || !connections[index].libpq || !pool.is_idle(index)) continue;
    connections[index].libpq.reset();
    pool.ended(index);
  }
}

void LibpqExecutor::State::connected(ConnectionIndex index) {
  last_failure.reset();
  connections[index].progress.reset();
  connections[index].libpq->on_end_while_idle([weak = weak_from_this(), index] {
    const auto self = weak.lock();
    if (!self || self->closed) return;
    self->connections[index].libpq.reset();
    self->pool.ended(index);
    self->pump();
  });
  pool.opened(index, now());
  pump();
}

void LibpqExecutor::State::not_connected(ConnectionIndex index, ConnectFailure failure) {
  connections[index].progress.reset();
  pool.open_failed(index, now(), std::uniform_real_distribution<double>(0.0, 1.0)(jitter));
  if (starting > 0 && failure.permanent && pool.connected() == 0) {
    fail_waiting({failure.incompatible ? SqlErrorKind::kIncompatible : SqlErrorKind::kNotSent, {}, failure.message});
  }
  last_failure = std::move(failure);
  pump();
}

}  // namespace hasigner::postgres
