#include "hasigner/factory/shared_sql_pool.hpp"

namespace hasigner {

using postgres::SqlRows;

SharedSqlPool::SharedSqlPool(std::shared_ptr<postgres::SqlExecutor> pool) : pool_(std::move(pool)) {}

asio::awaitable<postgres::SqlReply> SharedSqlPool::run(postgres::SqlJob job) {
  return pool_->run(std::move(job));
}

void SharedSqlPool::set_session_check(postgres::SessionCheck check) {
  checks_->push_back(std::move(check.judge));
  // Every check gets to see the answer, also after one has refused: each remembers what it saw.
  check.judge = [checks = checks_](const SqlRows& rows) {
    postgres::SessionVerdict common;
    for (const auto& judge : *checks) {
      postgres::SessionVerdict verdict = judge(rows);
      if (verdict.refusal && !common.refusal) common.refusal = std::move(verdict.refusal);
      common.outdates_others = common.outdates_others || verdict.outdates_others;
    }
    return common;
  };
  pool_->set_session_check(std::move(check));
}

std::size_t SharedSqlPool::parallel_jobs() const {
  return pool_->parallel_jobs();
}

asio::awaitable<std::expected<bool, postgres::SqlError>> SharedSqlPool::lost_sessions_alive(MonotonicTime deadline) {
  return pool_->lost_sessions_alive(deadline);
}

asio::awaitable<void> SharedSqlPool::close() {
  return pool_->close();
}

}  // namespace hasigner
