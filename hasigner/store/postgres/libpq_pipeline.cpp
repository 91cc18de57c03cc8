#include "hasigner/store/postgres/libpq_pipeline.hpp"

#include <libpq-fe.h>

#include <array>
#include <deque>
#include <expected>
#include <optional>
#include <utility>
#include <vector>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/libpq_results.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {
namespace {

constexpr std::size_t kHead = 5;  // of each message: its type and its length
constexpr int kPrepareAttempts = 4;
constexpr milliseconds kShortestStatementLimit{50};

/// What a pipeline holds, in its order.
enum class Sent : std::uint8_t { kLimits, kDeallocate, kPrepare, kExecute, kSync };

struct SentItem {
  Sent what;
  std::size_t statement;
};

/// One pass of a request through the pipeline.
struct Pass {
  std::deque<SentItem> awaited;
  std::optional<std::size_t> failed;  ///< the first statement with an error
  SqlError error;
};

bool send_limits(LibpqSession& session, const StatementLimits& limits, Pass& pass) {
  if (session.limits == limits) return true;
  const std::string statement = std::to_string(limits.statement.count());
  const std::string lock = std::to_string(limits.lock.count());
  const std::array<const char*, 2> values{statement.c_str(), lock.c_str()};
  pass.awaited.push_back({Sent::kLimits, 0});
  pass.awaited.push_back({Sent::kSync, 0});
  return PQsendQueryParams(session.pg.get(), sql_texts(kNewestSchemaVersion).session_limits.c_str(), 2, nullptr,
                           values.data(), nullptr, nullptr, 0) == 1 &&
         PQpipelineSync(session.pg.get()) == 1;
}

/// Takes away a statement that the session has prepared for tables that have changed since.
bool send_deallocate(LibpqSession& session, PreparedStatement& prepared, std::size_t index, Pass& pass) {
  const std::string text = "deallocate " + prepared.name;
  prepared.stale = false;
  prepared.ready = false;
  pass.awaited.push_back({Sent::kDeallocate, index});
  pass.awaited.push_back({Sent::kSync, index});
  return PQsendQueryParams(session.pg.get(), text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 1 &&
         PQpipelineSync(session.pg.get()) == 1;
}

bool send_sync(LibpqSession& session, std::size_t index, Pass& pass) {
  pass.awaited.push_back({Sent::kSync, index});
  return PQpipelineSync(session.pg.get()) == 1;
}

std::size_t bytes_to_send(const SqlStatement& statement, const PreparedStatement& prepared) {
  const auto bytes = bytes_until_sync(statement, prepared.name.size());
  return prepared.ready ? bytes : bytes_of_parse(statement, prepared.name.size()) + bytes;
}

/// All but its Sync.
bool send_statement(LibpqSession& session, const SqlStatement& statement, std::size_t index, Pass& pass) {
  PGconn* const pg = session.pg.get();
  auto& prepared = session.prepared_for(statement.text);
  // A client that is stopped between Execute and Sync would hold the statement's locks for as long as it stands still.
  // So Execute never ends a block; a Flush request, which asks for nothing here, moves it on.
  const bool ends_a_block = bytes_to_send(statement, prepared) % kLibpqBlock == 0;
  if (ends_a_block && PQsendFlushRequest(pg) != 1) return false;
  if (!prepared.ready) {
    const std::string text(statement.text);
    pass.awaited.push_back({Sent::kPrepare, index});
    if (PQsendPrepare(pg, prepared.name.c_str(), text.c_str(), 0, nullptr) != 1) return false;
  }
  std::vector<const char*> values;
  values.reserve(statement.parameters.size());
  for (const auto& parameter : statement.parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  pass.awaited.push_back({Sent::kExecute, index});
  return PQsendQueryPrepared(pg, prepared.name.c_str(), static_cast<int>(values.size()), values.data(), nullptr,
                             nullptr, 0) == 1;
}

/// Whether all that libpq will be given of the request stays in its buffer until the Sync, so that one write carries
/// it.
bool fits_one_write(LibpqSession& session, const SqlRequest& request) {
  std::size_t bytes = 0;
  for (const auto& statement : request.statements) {
    const auto& prepared = session.prepared_for(statement.text);
    bytes += bytes_to_send(statement, prepared);
  }
  constexpr std::size_t kSync = 5;
  return bytes + kSync < kLibpqBlock;
}

/// The statements from `first` on: one transaction, or one each.
bool send_statements(LibpqSession& session, const SqlRequest& request, std::size_t first, Pass& pass) {
  for (std::size_t i = first; i < request.statements.size(); ++i) {
    auto& prepared = session.prepared_for(request.statements[i].text);
    if (prepared.stale && !send_deallocate(session, prepared, i, pass)) return false;
  }
  const bool share = request.may_share_transaction && fits_one_write(session, request);
  for (std::size_t i = first; i < request.statements.size(); ++i) {
    if (!send_statement(session, request.statements[i], i, pass)) return false;
    const bool ends = !share || i + 1 == request.statements.size();
    if (ends && !send_sync(session, i, pass)) return false;
  }
  return true;
}

void note_error(const PGresult* result, const SentItem& item, Pass& pass) {
  // The first error of a statement is the cause; what follows it in the pipeline is only skipped.
  if (item.what == Sent::kDeallocate || pass.failed) return;
  pass.failed = item.statement;
  pass.error = server_error(result);
}

/// Handles the results that are there. Returns false when one of them does not belong to what was sent.
bool take_results(LibpqSession& session, const SqlRequest& request, const StatementLimits& limits, Pass& pass,
                  std::vector<SqlRows>& rows) {
  PGconn* const pg = session.pg.get();
  while (!pass.awaited.empty() && PQisBusy(pg) == 0) {
    const PgResultPointer result(PQgetResult(pg));
    const SentItem item = pass.awaited.front();
    if (!result) {
      if (item.what == Sent::kSync) return false;
      pass.awaited.pop_front();
      continue;
    }
    switch (PQresultStatus(result.get())) {
      case PGRES_PIPELINE_SYNC:
        if (item.what != Sent::kSync) return false;
        pass.awaited.pop_front();
        break;
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
        if (item.what == Sent::kLimits) session.limits = limits;
        if (item.what == Sent::kPrepare) session.prepared_for(request.statements[item.statement].text).ready = true;
        if (item.what == Sent::kExecute) rows[item.statement] = rows_of(result.get());
        break;
      case PGRES_PIPELINE_ABORTED: break;
      case PGRES_FATAL_ERROR: note_error(result.get(), item, pass); break;
      default: return false;
    }
  }
  return true;
}

/// Whether the statement failed only because its prepared form was not as this connection remembered it.
bool forget_prepared(LibpqSession& session, std::string_view text, const SqlError& error) {
  auto& prepared = session.prepared_for(text);
  if (error.sqlstate == "26000") {  // it does not exist: another server session behind a pooler, or DEALLOCATE
    prepared.ready = false;
  } else if (error.sqlstate == "42P05") {  // it exists: its name is made of its text, so it is the right one
    prepared.ready = true;
  } else if (error.sqlstate == "0A000") {  // "cached plan must not change result type": the table has changed
    prepared.stale = true;
  } else {
    return false;
  }
  return true;
}

/// The server should give up before this side does.
StatementLimits fitted(StatementLimits limits, MonotonicTime deadline) {
  const auto left = deadline - std::chrono::steady_clock::now();
  while (limits.statement > left && limits.statement > kShortestStatementLimit) limits.statement /= 2;
  return limits;
}

using PassReply = std::expected<Pass, SqlError>;

asio::awaitable<PassReply> run_pass(SessionPointer session, std::shared_ptr<const SqlRequest> request,
                                    StatementLimits limits, std::size_t first,
                                    std::shared_ptr<std::vector<SqlRows>> rows) {
  Pass pass;
  const bool sent = request->statements.empty() ||
                    (send_limits(*session, limits, pass) && send_statements(*session, *request, first, pass));
  if (!sent) co_return std::unexpected(lost(*session, session->complaint()));
  while (true) {
    const Exchanged exchanged = exchange(*session);
    const bool in_step = take_results(*session, *request, limits, pass, *rows);
    if (!in_step && exchanged != Exchanged::kBroken) co_return std::unexpected(lost_out_of_step(*session));
    if (pass.awaited.empty()) co_return pass;
    if (exchanged == Exchanged::kBroken)
      co_return std::unexpected(lost(*session, pass.failed ? pass.error.message : session->complaint()));
    if (is_past(request->deadline)) co_return std::unexpected(lost_in_time(*session));
    const Readiness awaited{.to_read = true, .to_write = exchanged == Exchanged::kMoreToSend};
    co_await wait(session, awaited, request->deadline);
    if (!session->pg) co_return std::unexpected(lost_by_closing());
  }
}

asio::awaitable<SqlReply> run_passes(SessionPointer session, std::shared_ptr<const SqlRequest> request,
                                     StatementLimits limits) {
  auto rows = std::make_shared<std::vector<SqlRows>>(request->statements.size());
  std::size_t first = 0;
  for (int attempt = 1;; ++attempt) {
    PassReply pass = co_await run_pass(session, request, limits, first, rows);
    if (!pass) co_return std::unexpected(std::move(pass.error()));
    if (!pass->failed) co_return std::move(*rows);
    const auto& failed = request->statements[*pass->failed];
    const bool again = attempt < kPrepareAttempts && forget_prepared(*session, failed.text, pass->error);
    // What may have shared its transaction went with it; sent again by itself, each finds what the other has done.
    first = request->may_share_transaction ? 0 : *pass->failed;
    if (!again) co_return std::unexpected(std::move(pass->error));
  }
}

/// libpq takes texts up to their first NUL byte, so one within would silently change the value.
bool holds_nul(const SqlRequest& request) {
  for (const auto& statement : request.statements) {
    for (const auto& parameter : statement.parameters) {
      if (parameter && parameter->contains('\0')) return true;
    }
  }
  return false;
}

}  // namespace

asio::awaitable<SqlReply> run_request_on(SessionPointer session, std::shared_ptr<const SqlRequest> request,
                                         StatementLimits limits) {
  if (holds_nul(*request)) {
    co_return std::unexpected(
        SqlError{SqlErrorKind::kServer, "22021", "a parameter holds a NUL byte: no text in the database can"});
  }
  if (auto reason = reason_not_to_send(*session, request->deadline)) co_return std::unexpected(std::move(*reason));
  HASIGNER_ASSERT(!session->running);
  if (PQpipelineStatus(session->pg.get()) == PQ_PIPELINE_OFF) PQenterPipelineMode(session->pg.get());
  session->running = true;
  const StatementLimits wanted = request->confirm ? limits : fitted(limits, request->deadline);
  SqlReply reply = co_await run_passes(session, request, wanted);
  const bool left_open = session->pg && PQtransactionStatus(session->pg.get()) != PQTRANS_IDLE;
  if (left_open) session->shut();
  session->become_idle();
  if (request->confirm && !session->warning.empty()) {
    co_return std::unexpected(
        SqlError{SqlErrorKind::kLost, {}, "not confirmed, because the server gave a warning: " + session->warning});
  }
  co_return reply;
}

std::size_t bytes_of_parse(const SqlStatement& statement, std::size_t name_length) {
  return kHead + name_length + 1 + statement.text.size() + 1 + 2;
}

std::size_t bytes_until_sync(const SqlStatement& statement, std::size_t name_length) {
  constexpr std::size_t kDescribe = kHead + 2;
  constexpr std::size_t kExecute = kHead + 5;
  std::size_t bind = kHead + 1 + name_length + 1 + 2 + 2 + 4;
  for (const auto& parameter : statement.parameters) bind += 4 + (parameter ? parameter->size() : 0);
  return bind + kDescribe + kExecute;
}

}  // namespace hasigner::postgres
