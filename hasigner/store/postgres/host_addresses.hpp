#pragma once

#include <expected>
#include <memory>
#include <vector>

#include "hasigner/store/postgres/libpq_connection.hpp"

namespace hasigner::postgres {

/// Finds the addresses of a server.
///
/// Names are resolved here, and not in libpq, because that would hold up the thread of the whole protocol.
[[nodiscard]] asio::awaitable<std::expected<std::vector<ServerAddress>, ConnectFailure>> resolve(
    asio::any_io_executor executor, ServerAddress server, MonotonicTime deadline,
    std::shared_ptr<ConnectProgress> progress);

}  // namespace hasigner::postgres
