#pragma once

#include <memory>
#include <vector>

#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner {

/// A pool of connections of the caller's own that several stores use at once. It is the caller who closes it.
///
/// Every new session is checked for each of the stores, as each of them would have it checked alone.
/// Thread safety: the executor of the pool.
class SharedSqlPool final : public postgres::SqlExecutor {
 public:
  explicit SharedSqlPool(std::shared_ptr<postgres::SqlExecutor> pool);

  [[nodiscard]] asio::awaitable<postgres::SqlReply> run(postgres::SqlJob job) override;
  /// Adds a check. All stores ask the same thing, and each judges the answer for itself.
  void set_session_check(postgres::SessionCheck check) override;
  [[nodiscard]] std::size_t parallel_jobs() const override;
  [[nodiscard]] asio::awaitable<std::expected<bool, postgres::SqlError>> lost_sessions_alive(
      MonotonicTime deadline) override;
  /// Ends the connections, for all stores.
  asio::awaitable<void> close() override;

 private:
  using Judge = std::function<postgres::SessionVerdict(const postgres::SqlRows&)>;

  std::shared_ptr<postgres::SqlExecutor> pool_;
  std::shared_ptr<std::vector<Judge>> checks_ = std::make_shared<std::vector<Judge>>();
};

}  // namespace hasigner
