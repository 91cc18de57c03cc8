#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

namespace postgres {

class SqlExecutor;

/// A pool of connections to PostgreSQL.
struct PoolConfig {
  std::string url;                     ///< a secret: it may hold a password
  std::size_t max = 10;                ///< connections, at least 1
  std::size_t min = 0;                 ///< idle connections that are kept
  milliseconds idle_timeout{10'000};   ///< after which an idle connection is closed; 0 is never
  milliseconds connection_timeout{0};  ///< longest wait of a request for a connection; 0: only the request's deadline
  milliseconds statement_timeout{10'000};  ///< of the server, for requests that need no confirmation
  /// For how long the answer to the session check holds; then the session is asked again before it serves a claim. The
  /// tables behind an open session can be dropped and made again, and the server behind a pooler can change.
  milliseconds check_holds{3'000};
  bool checks_every_request = false;  ///< asks the session again before requests of all kinds, not only before claims
};

}  // namespace postgres

/// A pool of connections of the caller's own that several stores use at once. It is the caller who closes it.
///
/// Every new session is checked for each of the stores, as each of them would have it checked alone.
/// Thread safety: the executor of the pool.
class SharedSqlPool {
 public:
  /// A pool over libpq. It opens connections when a store first asks for them. The context behind `executor` must
  /// outlive it.
  ///
  /// Errors: InvalidInput for the URL or a number.
  [[nodiscard]] static Parsed<std::shared_ptr<SharedSqlPool>> create(asio::any_io_executor executor,
                                                                     postgres::PoolConfig config);

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
