#pragma once

#include <map>
#include <memory>

#include "answers.hpp"
#include "environment.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::node {

/// A caller's pool as JavaScript knows it.
struct CallersPool {
  std::uint32_t id = 0;
  std::size_t connections = 10;  ///< the most that it opens
};

/// The executor over a caller's pool: any JavaScript object with `query(text, values)`.
///
/// A statement is one call of query(), hence one transaction, and is confirmed only when its promise has resolved. An
/// error counts as lost unless it proves that nothing was executed. The sessions behind the pool cannot be told apart.
/// So any session gets the session check: before the first request, and again before a claim when the last check is
/// old. The confirming statements check for themselves that the database is the current one. lib/pool.js notices a
/// cancelled wait for a standby. Thread safety: the protocol's executor.
class PoolExecutor final : public postgres::SqlExecutor {
 public:
  PoolExecutor(std::shared_ptr<Environment> environment, std::shared_ptr<Answers<postgres::SqlReply>> answers,
               CallersPool pool);

  asio::awaitable<postgres::SqlReply> run(postgres::SqlRequest request) override;
  void set_session_check(postgres::SessionCheck check) override { check_ = std::move(check); }
  std::size_t parallel_requests() const override { return connections_ > 1 ? connections_ - 1 : 1; }
  asio::awaitable<std::expected<bool, postgres::SqlError>> lost_sessions_alive(MonotonicTime deadline) override;
  asio::awaitable<void> close() override;

 private:
  using Turn = std::shared_ptr<Arrival<Unit>>;

  asio::awaitable<bool> take_connection(postgres::SqlPriority priority, MonotonicTime deadline);
  void give_connection();
  asio::awaitable<postgres::SqlReply> ask(postgres::SqlRequest request);
  asio::awaitable<std::optional<postgres::SqlError>> check_session(MonotonicTime deadline);
  [[nodiscard]] MonotonicTime now() const { return environment_->clock()->now(); }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Answers<postgres::SqlReply>> answers_;
  CallersPool pool_;
  std::optional<postgres::SessionCheck> check_;
  std::optional<MonotonicTime> checked_at_;
  std::optional<MonotonicTime> last_loss_;
  std::uint64_t generation_ = 0;  ///< raised when another database has replaced the one before
  std::size_t connections_;
  std::size_t taken_ = 0;
  std::multimap<postgres::SqlPriority, Turn> waiting_;
  bool closed_ = false;
};

}  // namespace hasigner::node
