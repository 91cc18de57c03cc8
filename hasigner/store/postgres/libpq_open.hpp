#pragma once

#include <expected>
#include <memory>
#include <string>

#include "hasigner/store/postgres/libpq_session.hpp"

namespace hasigner::postgres {

/// A server as messages name it.
[[nodiscard]] std::string shown(const ServerAddress& server);

/// Opens a session at one address, and puts it into the state that the store relies on.
[[nodiscard]] asio::awaitable<std::expected<SessionPointer, ConnectFailure>> open_address(
    asio::any_io_executor executor, std::shared_ptr<const ConnectionString> where, ServerAddress server,
    StatementLimits limits, MonotonicTime deadline, std::shared_ptr<ConnectProgress> progress);

}  // namespace hasigner::postgres
