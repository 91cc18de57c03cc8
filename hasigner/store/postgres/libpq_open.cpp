#include "hasigner/store/postgres/libpq_open.hpp"

#include <libpq-fe.h>

#include <cstdio>
#include <optional>
#include <vector>

#include "hasigner/store/postgres/libpq_script.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"
#include "hasigner/store/postgres/sql_values.hpp"

namespace hasigner::postgres {
namespace {

constexpr int kOldestServer = 140000;

std::string shown(milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(time.count()) / 1000.0);
  return text;
}

PgConnectionPointer start_connecting(const ConnectionString& where, const ServerAddress& server) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  const auto add = [&](const char* keyword, const std::string& value) {
    if (value.empty()) return;
    keywords.push_back(keyword);
    values.push_back(value.c_str());
  };
  add("host", server.host);
  add("hostaddr", server.host_address);
  add("port", server.port);
  for (const auto& [keyword, value] : where.parameters()) add(keyword.c_str(), value);
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  return PgConnectionPointer(PQconnectStartParams(keywords.data(), values.data(), 0));
}

std::string what_is_awaited(const PGconn* pg, const ServerAddress& server) {
  switch (PQstatus(pg)) {
    case CONNECTION_STARTED: return "the server at " + shown(server) + " has not answered an attempt to connect";
    default: return "the server at " + shown(server) + " has accepted the connection but has not answered";
  }
}

ConnectFailure failure_of(const LibpqSession& session, const ServerAddress& server) {
  const ConnectComplaint complaint = read_connect_complaint(PQerrorMessage(session.pg.get()));
  std::string message = session.where->scrub(complaint.message);
  // libpq says where it was, unless it did not get that far.
  if (!message.contains("connection to server"))
    message = "connection to server at " + shown(server) + " failed: " + message;
  return {.permanent = is_permanent(complaint), .message = std::move(message)};
}

/// Gives the socket of the moment to Asio. libpq may go on with another socket after any step, even one of the same
/// number. Returns nullopt when the socket can be watched.
std::optional<ConnectFailure> adopt_socket(LibpqSession& session) {
  session.forget_socket();
  boost::system::error_code error;
  session.socket.assign(PQsocket(session.pg.get()), error);
  if (!error) return std::nullopt;
  return ConnectFailure{.message = "the connection's socket cannot be watched: " + error.message()};
}

using Done = std::expected<void, ConnectFailure>;

/// Lets libpq connect, step by step.
asio::awaitable<Done> poll_until_connected(SessionPointer session, ServerAddress server, MonotonicTime deadline,
                                           std::shared_ptr<ConnectProgress> progress) {
  const auto begin = std::chrono::steady_clock::now();
  PGconn* const pg = session->pg.get();
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
    progress->waiting_for = what_is_awaited(pg, server);
    if (auto failure = adopt_socket(*session)) co_return std::unexpected(std::move(*failure));
    const Readiness awaited{.to_read = next == PGRES_POLLING_READING, .to_write = next == PGRES_POLLING_WRITING};
    co_await wait(session, awaited, deadline);
    if (!session->pg) {
      co_return std::unexpected(ConnectFailure{.message = "the connection was closed while it was being made"});
    }
    if (is_past(deadline)) {
      const auto waited = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
      co_return std::unexpected(ConnectFailure{.message = what_is_awaited(pg, server) + " within " + shown(waited)});
    }
    session->forget_socket();
    next = PQconnectPoll(pg);
  }
  if (next != PGRES_POLLING_OK) co_return std::unexpected(failure_of(*session, server));
  co_return Done();
}

asio::awaitable<Done> connect(SessionPointer session, ServerAddress server, MonotonicTime deadline,
                              std::shared_ptr<ConnectProgress> progress) {
  session->pg = start_connecting(*session->where, server);
  PGconn* const pg = session->pg.get();
  if (pg == nullptr || PQstatus(pg) == CONNECTION_BAD) co_return std::unexpected(failure_of(*session, server));
  // Only the verbose form says the SQLSTATE of a refusal.
  PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
  session->receive_notices();
  Done done = co_await poll_until_connected(session, server, deadline, progress);
  if (!done) co_return done;
  if (PQserverVersion(pg) < kOldestServer) {
    const std::string version = std::to_string(PQserverVersion(pg) / 10000);
    co_return std::unexpected(ConnectFailure{
        .permanent = true,
        .incompatible = true,
        .message = "the server at " + shown(server) + " is PostgreSQL " + version + ", but 14 or newer is needed"});
  }
  PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
  PQsetnonblocking(pg, 1);
  if (auto failure = adopt_socket(*session)) co_return std::unexpected(std::move(*failure));
  co_return Done();
}

std::string preparation(const StatementLimits& limits) {
  const SqlTexts& texts = sql_texts(kNewestSchemaVersion);
  const std::string statement = std::to_string(limits.statement.count());
  const std::string lock = std::to_string(limits.lock.count());
  return texts.session_settings + ";" + with_literals(texts.session_limits, {statement, lock}) + ";" + texts.session_id;
}

asio::awaitable<Done> prepare_session(SessionPointer session, StatementLimits limits, MonotonicTime deadline) {
  const SqlReply reply = co_await run_script_on(session, preparation(limits), deadline);
  if (!reply) {
    const bool by_server = reply.error().kind == SqlErrorKind::kServer;
    co_return std::unexpected(
        ConnectFailure{.permanent = by_server, .message = "the session could not be set up: " + reply.error().message});
  }
  const auto& rows = reply->back().rows;
  if (rows.size() != 1 || rows[0].size() != 3) {
    co_return std::unexpected(ConnectFailure{.permanent = true,
                                             .incompatible = true,
                                             .message = "the server does not show this session in pg_stat_activity"});
  }
  session->id = SessionId{rows[0][0].value_or(""), rows[0][1].value_or(""), rows[0][2].value_or("")};
  session->behind_pooler = session->id.process_id != std::to_string(PQbackendPID(session->pg.get()));
  session->limits = limits;
  co_return Done();
}

}  // namespace

std::string shown(const ServerAddress& server) {
  const std::string port = server.port.empty() ? "" : ", port " + server.port;
  if (server.host.empty()) return (server.host_address.empty() ? "the default server" : server.host_address) + port;
  return server.host + (server.host_address.empty() ? "" : " (" + server.host_address + ")") + port;
}

asio::awaitable<std::expected<SessionPointer, ConnectFailure>> open_address(
    asio::any_io_executor executor, std::shared_ptr<const ConnectionString> where, ServerAddress server,
    StatementLimits limits, MonotonicTime deadline, std::shared_ptr<ConnectProgress> progress) {
  auto session = std::make_shared<LibpqSession>(executor, where);
  session->running = true;
  progress->interrupt = [weak = std::weak_ptr(session)] {
    if (const auto opening = weak.lock()) opening->shut();
  };
  Done done = co_await connect(session, server, deadline, progress);
  if (done) done = co_await prepare_session(session, limits, deadline);
  if (!done) co_return std::unexpected(std::move(done.error()));
  session->become_idle();
  co_return session;
}

}  // namespace hasigner::postgres
