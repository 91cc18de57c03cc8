#include "hasigner/factory/shared_sql_pool.hpp"

namespace hasigner {

using postgres::SqlRows;

SharedSqlPool::SharedSqlPool(std::shared_ptr<postgres::SqlExecutor> pool) : pool_(std::move(pool)) {}

asio::awaitable<postgres::SqlReply> SharedSqlPool::run(postgres::SqlJob job) {
  return pool_->run(std::move(job));
}

void SharedSqlPool::set_session_check(postgres::SessionCheck check) {
  checks_->push_back(std::move(check.refuse));
  // Every check gets to see the answer, also after one has refused: each remembers what it saw.
  check.refuse = [checks = checks_](const SqlRows& rows) {
    std::optional<std::string> refusal;
    for (const auto& refuse : *checks) {
      auto why = refuse(rows);
      if (why && !refusal) refusal = std::move(why);
    }
    return refusal;
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
