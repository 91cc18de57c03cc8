#include "pool_executor.hpp"

#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::node {

using postgres::SqlError;
using postgres::SqlErrorKind;
using postgres::SqlPriority;
using postgres::SqlReply;
using postgres::SqlRequest;
using postgres::SqlStatement;

namespace {

/// As for libpq's pool: tables can be dropped and made again while a session is open.
constexpr milliseconds kCheckHolds{3'000};
/// A statement whose reply was lost may still be on its way to a server for this long.
constexpr milliseconds kLostStatementMayArrive{15'000};
/// JavaScript limits the length of timers.
constexpr milliseconds kLongestTimeout = std::chrono::hours(1);

SqlError not_sent(std::string message) {
  return {SqlErrorKind::kNotSent, {}, std::move(message)};
}

Napi::Value value_of(Napi::Env env, const std::optional<std::string>& parameter) {
  if (!parameter) return env.Null();
  return Napi::String::New(env, *parameter);
}

/// `[pool, confirm, time-out in ms, text, values, text, values, …]`
Napi::Value question_of(Napi::Env env, std::uint32_t pool, milliseconds timeout, const SqlRequest& request) {
  Napi::Array question = Napi::Array::New(env);
  std::uint32_t index = 0;
  question.Set(index++, Napi::Number::New(env, pool));
  question.Set(index++, Napi::Boolean::New(env, request.confirm));
  question.Set(index++, Napi::Number::New(env, static_cast<double>(timeout.count())));
  for (const SqlStatement& statement : request.statements) {
    question.Set(index++, Napi::String::New(env, statement.text.data(), statement.text.size()));
    Napi::Array values = Napi::Array::New(env, statement.parameters.size());
    std::uint32_t number = 0;
    for (const auto& parameter : statement.parameters) values.Set(number++, value_of(env, parameter));
    question.Set(index++, values);
  }
  return question;
}

}  // namespace

PoolExecutor::PoolExecutor(std::shared_ptr<Environment> environment, std::shared_ptr<Answers<SqlReply>> answers,
                           CallersPool pool)
    : environment_(std::move(environment)),
      answers_(std::move(answers)),
      pool_(pool),
      connections_(std::max<std::size_t>(1, pool.connections)) {}

asio::awaitable<SqlReply> PoolExecutor::run(SqlRequest request) {
  if (closed_) co_return std::unexpected(not_sent("the store is closed"));
  if (request.statements.empty()) co_return std::vector<postgres::SqlRows>{};
  const bool has_connection = co_await take_connection(request.priority, request.deadline);
  if (!has_connection) co_return std::unexpected(not_sent("no connection of the pool came free in time"));
  const bool is_stale = !checked_at_ || (request.priority == SqlPriority::kClaim && now() - *checked_at_ > kCheckHolds);
  std::optional<SqlError> refusal;
  if (check_ && is_stale) refusal = co_await check_session(request.deadline);
  SqlReply reply = std::unexpected(SqlError{});
  if (refusal) {
    reply = std::unexpected(std::move(*refusal));
  } else {
    const auto generation = generation_;
    reply = co_await ask(std::move(request));
    if (generation != generation_ && (reply || reply.error().kind != SqlErrorKind::kNotSent)) {
      reply =
          std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the server that answered has been replaced meanwhile"});
    }
  }
  give_connection();
  if (!reply && reply.error().kind == SqlErrorKind::kLost) last_loss_ = now();
  co_return reply;
}

/// Claims may wait for locks of others, so they never take the last connection of the pool.
asio::awaitable<bool> PoolExecutor::take_connection(SqlPriority priority, MonotonicTime deadline) {
  const std::size_t open_to_it = priority == SqlPriority::kClaim && connections_ > 1 ? connections_ - 1 : connections_;
  if (taken_ < open_to_it && waiting_.empty()) {
    ++taken_;
    co_return true;
  }
  Turn turn = std::make_shared<Arrival<Unit>>(environment_->executor());
  const auto entry = waiting_.emplace(priority, turn);
  auto granted = co_await Arrival<Unit>::wait(turn, *environment_->clock(), deadline);
  if (granted) co_return !closed_;
  waiting_.erase(entry);
  co_return false;
}

void PoolExecutor::give_connection() {
  --taken_;
  while (!waiting_.empty() && taken_ < connections_) {
    const auto first = waiting_.begin();
    const bool is_claim = first->first == SqlPriority::kClaim;
    if (is_claim && connections_ > 1 && taken_ >= connections_ - 1) return;
    const Turn turn = first->second;
    waiting_.erase(first);
    ++taken_;
    turn->set(Unit{});
  }
}

asio::awaitable<SqlReply> PoolExecutor::ask(SqlRequest request) {
  const MonotonicTime deadline = request.deadline;
  const auto timeout = std::clamp(std::chrono::ceil<milliseconds>(deadline - now()), milliseconds(1), kLongestTimeout);
  MakeValue make = [pool = pool_.id, timeout, request = std::move(request)](Napi::Env env) {
    return question_of(env, pool, timeout, request);
  };
  Event question{EventKind::kQuery, environment_->next_id(), std::move(make)};
  auto reply = co_await Answers<SqlReply>::ask(answers_, environment_, std::move(question), deadline);
  if (!reply) co_return std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the pool did not answer in time"});
  co_return std::move(*reply);
}

asio::awaitable<std::optional<SqlError>> PoolExecutor::check_session(MonotonicTime deadline) {
  std::function<asio::awaitable<SqlReply>(SqlStatement)> one = [this, deadline](SqlStatement statement) {
    return ask({.statements = {std::move(statement)}, .priority = SqlPriority::kHeartbeat, .deadline = deadline});
  };
  auto verdict = co_await postgres::run_check(*check_, std::move(one));
  if (!verdict) {
    SqlError error = std::move(verdict.error());
    if (error.kind == SqlErrorKind::kLost) error.kind = SqlErrorKind::kNotSent;
    co_return error;
  }
  if (verdict->outdates_others) ++generation_;
  if (verdict->refusal) co_return SqlError{SqlErrorKind::kIncompatible, {}, std::move(*verdict->refusal)};
  checked_at_ = now();
  co_return std::nullopt;
}

asio::awaitable<std::expected<bool, SqlError>> PoolExecutor::lost_sessions_alive(MonotonicTime deadline) {
  auto [claim, claim_signed] = postgres::beginnings_of_claims();
  SqlStatement is_claim_running{postgres::sql_texts(postgres::kNewestSchemaVersion).claim_is_at_work,
                                {std::move(claim), std::move(claim_signed)}};
  SqlRequest question{
      .statements = {std::move(is_claim_running)}, .priority = SqlPriority::kRelease, .deadline = deadline};
  SqlReply reply = co_await run(std::move(question));
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  const bool is_at_work = reply->front().rows.empty() || reply->front().rows[0].at(0) != "f";
  const bool may_arrive = last_loss_ && now() - *last_loss_ < kLostStatementMayArrive;
  co_return is_at_work || may_arrive;
}

asio::awaitable<void> PoolExecutor::close() {
  closed_ = true;
  auto all = std::exchange(waiting_, {});
  for (const auto& [priority, turn] : all) turn->set(Unit{});
  co_return;
}

}  // namespace hasigner::node
