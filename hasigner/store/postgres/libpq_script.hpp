#pragma once

#include <string>

#include "hasigner/store/postgres/libpq_session.hpp"

namespace hasigner::postgres {

/// Runs a script by the simple protocol. The session must be marked as running.
[[nodiscard]] asio::awaitable<SqlReply> run_script_on(SessionPointer session, std::string script,
                                                      MonotonicTime deadline);

/// The same on a session on which nothing runs.
[[nodiscard]] asio::awaitable<SqlReply> run_script_alone(SessionPointer session, std::string script,
                                                         MonotonicTime deadline);

}  // namespace hasigner::postgres
