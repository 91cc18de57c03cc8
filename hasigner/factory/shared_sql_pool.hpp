#pragma once

#include <memory>

#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner {

/// A pool of connections of the caller's own that several stores use at once. It is the caller who closes it.
///
/// Every new session is checked for each of the stores, as each of them would have it checked alone.
/// Thread safety: the executor of the pool.
class SharedSqlPool {
 public:
  explicit SharedSqlPool(std::shared_ptr<postgres::SqlExecutor> pool);

  /// The pool as one store sees it: closing it leaves the pool, whose sessions are then no longer checked for it.
  [[nodiscard]] std::shared_ptr<postgres::SqlExecutor> share();
  /// Ends the connections, for all stores.
  [[nodiscard]] asio::awaitable<void> close();

 private:
  struct Checks;
  class Share;

  std::shared_ptr<postgres::SqlExecutor> pool_;
  std::shared_ptr<Checks> checks_;
};

}  // namespace hasigner
