#include "hasigner/store/postgres/libpq_script.hpp"

#include <libpq-fe.h>

#include <optional>
#include <vector>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/libpq_results.hpp"

namespace hasigner::postgres {
namespace {

/// What has come of a script's results.
struct ScriptResults {
  std::vector<SqlRows> rows;
  std::optional<SqlError> error;
  bool done = false;
};

/// Handles the results that are there. Returns false when one of them does not belong to a script.
bool take_results(LibpqSession& session, ScriptResults& results) {
  while (!results.done && PQisBusy(session.pg.get()) == 0) {
    const PgResultPointer result(PQgetResult(session.pg.get()));
    if (!result) {
      results.done = true;
      break;
    }
    switch (PQresultStatus(result.get())) {
      case PGRES_EMPTY_QUERY:
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK: results.rows.push_back(rows_of(result.get())); break;
      case PGRES_FATAL_ERROR:
        if (!results.error) results.error = server_error(result.get());
        break;
      default: return false;
    }
  }
  return true;
}

asio::awaitable<SqlReply> read_results(SessionPointer session, MonotonicTime deadline) {
  ScriptResults results;
  while (true) {
    const Exchanged exchanged = exchange(*session);
    const bool in_step = take_results(*session, results);
    if (!in_step && exchanged != Exchanged::kBroken) co_return std::unexpected(lost_out_of_step(*session));
    const bool ended = exchanged == Exchanged::kBroken || PQstatus(session->pg.get()) != CONNECTION_OK;
    if (ended) {
      co_return std::unexpected(lost(*session, results.error ? results.error->message : session->complaint()));
    }
    if (results.done) break;
    if (is_past(deadline)) co_return std::unexpected(lost_in_time(*session));
    const Readiness awaited{.to_read = true, .to_write = exchanged == Exchanged::kMoreToSend};
    co_await wait(session, awaited, deadline);
    if (!session->pg) co_return std::unexpected(lost_by_closing());
  }
  if (results.error) co_return std::unexpected(std::move(*results.error));
  co_return std::move(results.rows);
}

}  // namespace

asio::awaitable<SqlReply> run_script_on(SessionPointer session, std::string script, MonotonicTime deadline) {
  PGconn* const pg = session->pg.get();
  if (PQpipelineStatus(pg) != PQ_PIPELINE_OFF) PQexitPipelineMode(pg);
  if (PQsendQuery(pg, script.c_str()) != 1) co_return std::unexpected(lost(*session, session->complaint()));
  SqlReply reply = co_await read_results(session, deadline);
  co_return reply;
}

asio::awaitable<SqlReply> run_script_alone(SessionPointer session, std::string script, MonotonicTime deadline) {
  if (auto reason = reason_not_to_send(*session, deadline)) co_return std::unexpected(std::move(*reason));
  HASIGNER_ASSERT(!session->running);
  session->running = true;
  SqlReply reply = co_await run_script_on(session, std::move(script), deadline);
  session->become_idle();
  co_return reply;
}

}  // namespace hasigner::postgres
