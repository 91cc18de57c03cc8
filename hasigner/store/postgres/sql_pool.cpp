#include "hasigner/store/postgres/sql_pool.hpp"

#include <map>

#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner {

using postgres::SessionCheck;
using postgres::SessionVerdict;
using postgres::SqlError;
using postgres::SqlErrorKind;
using postgres::SqlExecutor;
using postgres::SqlReply;
using postgres::SqlRequest;
using postgres::SqlRows;

/// Of the stores that use the pool now.
struct SharedSqlPool::Checks {
  std::map<const Share*, std::function<SessionVerdict(const SqlRows&)>> judges;

  /// Every store gets to see the answer, also after one has refused: each remembers what it saw.
  SessionVerdict judge(const SqlRows& rows) const {
    SessionVerdict common;
    for (const auto& [store, judge] : judges) {
      SessionVerdict verdict = judge(rows);
      if (verdict.refusal && !common.refusal) common.refusal = std::move(verdict.refusal);
      common.outdates_others = common.outdates_others || verdict.outdates_others;
    }
    return common;
  }
};

class SharedSqlPool::Share final : public SqlExecutor {
 public:
  Share(std::shared_ptr<SqlExecutor> pool, std::shared_ptr<Checks> checks)
      : pool_(std::move(pool)), checks_(std::move(checks)) {}
  ~Share() override {
    if (!has_left_) checks_->judges.erase(this);
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  asio::awaitable<SqlReply> run(SqlRequest request) override {
    if (has_left_) co_return std::unexpected(SqlError{SqlErrorKind::kNotSent, {}, "the store is closed"});
    SqlReply reply = co_await pool_->run(std::move(request));
    co_return reply;
  }
  /// All stores ask the same thing, and each judges the answer for itself.
  void set_session_check(SessionCheck check) override {
    checks_->judges[this] = std::move(check.judge);
    check.judge = [checks = checks_](const SqlRows& rows) { return checks->judge(rows); };
    pool_->set_session_check(std::move(check));
  }
  std::optional<ConnectionCounts> connections() const override { return pool_->connections(); }
  std::size_t parallel_requests() const override { return pool_->parallel_requests(); }
  asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime deadline) override {
    return pool_->lost_sessions_alive(deadline);
  }
  asio::awaitable<void> close() override {
    has_left_ = true;
    checks_->judges.erase(this);
    co_return;
  }

 private:
  std::shared_ptr<SqlExecutor> pool_;
  std::shared_ptr<Checks> checks_;
  bool has_left_ = false;
};

Parsed<std::shared_ptr<SharedSqlPool>> SharedSqlPool::create(asio::any_io_executor executor,
                                                             postgres::PoolConfig config) {
  auto connections = postgres::LibpqExecutor::create(std::move(executor), std::move(config));
  if (!connections) return std::unexpected(std::move(connections.error()));
  return std::make_shared<SharedSqlPool>(std::move(*connections));
}

SharedSqlPool::SharedSqlPool(std::shared_ptr<SqlExecutor> pool)
    : pool_(std::move(pool)), checks_(std::make_shared<Checks>()) {}

std::shared_ptr<SqlExecutor> SharedSqlPool::share() {
  return std::make_shared<Share>(pool_, checks_);
}

asio::awaitable<void> SharedSqlPool::close() {
  return pool_->close();
}

}  // namespace hasigner
