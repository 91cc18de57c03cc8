#pragma once

#include <cstddef>
#include <memory>

#include "hasigner/store/postgres/libpq_session.hpp"

namespace hasigner::postgres {

/// Runs the statements of a request on a session on which nothing runs, in pipeline mode; see LibpqConnection::run.
[[nodiscard]] asio::awaitable<SqlReply> run_request_on(SessionPointer session,
                                                       std::shared_ptr<const SqlRequest> request,
                                                       StatementLimits limits);

/// The bytes of the message that prepares a statement.
///
/// Source: PostgreSQL's documentation, "Message Formats".
[[nodiscard]] std::size_t bytes_of_parse(const SqlStatement& statement, std::size_t name_length);

/// The bytes of the messages that execute a prepared statement: Bind, Describe, Execute. Source: as above.
[[nodiscard]] std::size_t bytes_until_sync(const SqlStatement& statement, std::size_t name_length);

/// libpq sends full blocks of so many bytes as soon as it has them, and the rest when it is told to.
inline constexpr std::size_t kLibpqBlock = 8192;

}  // namespace hasigner::postgres
