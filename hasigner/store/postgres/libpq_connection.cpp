#include "hasigner/store/postgres/libpq_connection.hpp"

#include <libpq-fe.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <charconv>
#include <cstdio>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "hasigner/duty/assert.hpp"

namespace hasigner::postgres {

namespace {

constexpr int kOldestServer = 140000;
constexpr int kPrepareAttempts = 4;
constexpr milliseconds kShortestStatementLimit{50};

struct PgFinish {
  void operator()(PGconn* pg) const { PQfinish(pg); }
};
struct PgClear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgPointer = std::unique_ptr<PGconn, PgFinish>;
using ResultPointer = std::unique_ptr<PGresult, PgClear>;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct PreparedStatement {
  std::string name;
  bool ready = false;
  bool stale = false;  ///< the session's own must be taken away first
};

/// FNV-1a: the same text has the same name in every process, which is what a pooler needs.
std::string statement_name(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char name[24];
  std::snprintf(name, sizeof name, "hs_%016llx", static_cast<unsigned long long>(hash));
  return name;
}

std::string field_of(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? std::string() : std::string(text);
}

SqlRows rows_of(const PGresult* result) {
  SqlRows rows;
  const int columns = PQnfields(result);
  rows.rows.resize(static_cast<std::size_t>(PQntuples(result)));
  for (int r = 0; r < PQntuples(result); ++r) {
    auto& row = rows.rows[static_cast<std::size_t>(r)];
    row.reserve(static_cast<std::size_t>(columns));
    for (int c = 0; c < columns; ++c) {
      if (PQgetisnull(result, r, c) != 0) {
        row.emplace_back();
      } else {
        row.emplace_back(std::in_place, PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c)));
      }
    }
  }
  const std::string_view affected = PQcmdTuples(const_cast<PGresult*>(result));
  std::from_chars(affected.data(), affected.data() + affected.size(), rows.affected);
  return rows;
}

SqlError server_error(const PGresult* result) {
  SqlError error{SqlErrorKind::kServer, field_of(result, PG_DIAG_SQLSTATE), field_of(result, PG_DIAG_MESSAGE_PRIMARY)};
  if (const auto detail = field_of(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    error.message += " (" + detail + ")";
  if (const auto hint = field_of(result, PG_DIAG_MESSAGE_HINT); !hint.empty()) error.message += " (" + hint + ")";
  return error;
}

/// What a pipeline holds, in its order.
enum class Sent : std::uint8_t { kLimits, kDeallocate, kPrepare, kExecute, kSync };

struct SentItem {
  Sent what;
  std::size_t statement;
};

/// One pass of a job through the pipeline.
struct Pass {
  std::deque<SentItem> awaited;
  std::optional<std::size_t> failed;  ///< the first statement with an error
  SqlError error;
};

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

std::string shown(const ServerAddress& server) {
  const std::string port = server.port.empty() ? "" : ", port " + server.port;
  if (server.host.empty()) return (server.host_address.empty() ? "the default server" : server.host_address) + port;
  return server.host + (server.host_address.empty() ? "" : " (" + server.host_address + ")") + port;
}

std::string shown(milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(time.count()) / 1000.0);
  return text;
}

}  // namespace

struct LibpqSession : std::enable_shared_from_this<LibpqSession> {
  LibpqSession(asio::any_io_executor executor, std::shared_ptr<const ConnectionString> string)
      : where(std::move(string)), socket(executor), timer(executor) {}
  ~LibpqSession() { shut(); }

  /// The socket is libpq's, so Asio must have forgotten it before libpq closes it.
  void forget_socket() {
    ++watch;
    reading = writing = false;
    if (socket.is_open()) socket.release();
  }

  void shut() {
    forget_socket();
    pg.reset();
    timer.cancel();
  }

  void watch_socket(bool read, bool write) {
    const auto notify = [weak = weak_from_this(), at = watch](bool LibpqSession::*pending) {
      return [weak, at, pending](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || self->watch != at) return;
        (*self).*pending = false;
        if (error) return;
        if (self->running) {
          self->timer.cancel();
        } else {
          self->look_while_idle();
        }
      };
    };
    if (read && !reading) {
      reading = true;
      socket.async_wait(asio::posix::stream_descriptor::wait_read, notify(&LibpqSession::reading));
    }
    if (write && !writing) {
      writing = true;
      socket.async_wait(asio::posix::stream_descriptor::wait_write, notify(&LibpqSession::writing));
    }
  }

  /// Takes in what the server sent unasked. False: the session has ended.
  bool consume_unasked() {
    // A notice may be the server's farewell, with the end of the connection right behind it.
    std::uint64_t before = 0;
    do {
      before = notices;
      if (PQconsumeInput(pg.get()) == 0) return false;
      (void)PQisBusy(pg.get());
    } while (notices != before);
    return !dying && PQstatus(pg.get()) == CONNECTION_OK;
  }

  void look_while_idle() {
    if (!pg) return;
    if (consume_unasked()) {
      watch_socket(true, false);
      return;
    }
    shut();
    if (auto ended = std::exchange(on_end, nullptr)) ended();
  }

  [[nodiscard]] std::string complaint() const {
    return where->scrub(one_line(pg ? PQerrorMessage(pg.get()) : "the connection was closed"));
  }

  PreparedStatement& prepared_for(std::string_view text) {
    if (const auto place = prepared.find(text); place != prepared.end()) return place->second;
    return prepared.emplace(std::string(text), PreparedStatement{statement_name(text), false, false}).first->second;
  }

  std::shared_ptr<const ConnectionString> where;
  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;  ///< its deadline is that of the wait in progress; cancelling it ends the wait
  std::uint64_t watch = 0;   ///< waits on an earlier socket mean nothing any more
  bool reading = false;
  bool writing = false;
  bool running = false;
  bool dying = false;  ///< the server said that it ends the session
  bool behind_pooler = false;
  std::string warning;  ///< the first one since the job began that may speak of its commit
  std::uint64_t notices = 0;
  std::function<void()> on_end;
  SessionId id;
  StatementLimits limits;
  std::unordered_map<std::string, PreparedStatement, StringHash, std::equal_to<>> prepared;
  PgPointer pg;
};

namespace {

using SessionPointer = std::shared_ptr<LibpqSession>;

/// Whether this is a RAISE WARNING of somebody's PL/pgSQL function, an audit trigger's say. It ran before the commit,
/// so it knows nothing of it. Where in the server's source a message comes from is neither translated nor for RAISE to
/// choose; a wait for replication that was cancelled comes from syncrep.c.
bool is_raised_by_plpgsql(const PGresult* notice) {
  return field_of(notice, PG_DIAG_SOURCE_FILE) == "pl_exec.c" &&
         field_of(notice, PG_DIAG_SOURCE_FUNCTION) == "exec_stmt_raise";
}

std::string warning_text(const PGresult* notice) {
  std::string text = field_of(notice, PG_DIAG_MESSAGE_PRIMARY);
  const std::string function = field_of(notice, PG_DIAG_SOURCE_FUNCTION);
  return function.empty() ? text : text + " [" + function + "]";
}

/// Severities are compared in the form that is not translated.
void receive_notice(void* session, const PGresult* notice) {
  auto& self = *static_cast<LibpqSession*>(session);
  ++self.notices;
  const std::string severity = field_of(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == "WARNING" && self.warning.empty() && !is_raised_by_plpgsql(notice)) {
    self.warning = warning_text(notice);
  }
  if (severity == "FATAL" || severity == "PANIC") self.dying = true;
}

/// Waits until the socket may be ready, the session is shut, or the deadline.
asio::awaitable<void> wait(SessionPointer self, bool read, bool write, MonotonicTime deadline) {
  self->watch_socket(read, write);
  self->timer.expires_at(deadline);
  boost::system::error_code ignored;
  co_await self->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

bool is_past(MonotonicTime deadline) {
  return std::chrono::steady_clock::now() >= deadline;
}

// ---- connecting

bool is_permanent(std::string_view sqlstate, std::string_view message) {
  if (!sqlstate.empty()) return sqlstate.starts_with("28") || sqlstate == "3D000" || sqlstate == "42501";
  constexpr std::array<std::string_view, 6> kOwnFaults{"no password supplied",     "certificate verify failed",
                                                       "does not match host name", "does not support SSL",
                                                       "root certificate file",    "certificate file"};
  for (const auto fault : kOwnFaults) {
    if (message.contains(fault)) return true;
  }
  return false;
}

PgPointer start_connecting(const ConnectionString& where, const ServerAddress& server) {
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
  return PgPointer(PQconnectStartParams(keywords.data(), values.data(), 0));
}

std::string what_is_awaited(const PGconn* pg, const ServerAddress& server) {
  switch (PQstatus(pg)) {
    case CONNECTION_STARTED: return "the server at " + shown(server) + " has not answered an attempt to connect";
    default: return "the server at " + shown(server) + " has accepted the connection but has not answered";
  }
}

ConnectFailure failure_of(const LibpqSession& session, const ServerAddress& server) {
  auto [sqlstate, message] = read_connect_complaint(PQerrorMessage(session.pg.get()));
  const bool permanent = is_permanent(sqlstate, message);
  message = session.where->scrub(std::move(message));
  // libpq says where it was, unless it did not get that far.
  if (!message.contains("connection to server"))
    message = "connection to server at " + shown(server) + " failed: " + message;
  return {permanent, false, std::move(message)};
}

using Done = std::expected<void, ConnectFailure>;

asio::awaitable<Done> shake_hands(SessionPointer self, ServerAddress server, MonotonicTime deadline,
                                  std::shared_ptr<ConnectProgress> progress) {
  const auto begin = std::chrono::steady_clock::now();
  self->pg = start_connecting(*self->where, server);
  PGconn* const pg = self->pg.get();
  if (pg == nullptr || PQstatus(pg) == CONNECTION_BAD) co_return std::unexpected(failure_of(*self, server));
  // Only the verbose form says the SQLSTATE of a refusal.
  PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(pg, receive_notice, self.get());
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
    progress->waiting_for = what_is_awaited(pg, server);
    // libpq may go on with another socket after any step, even one of the same number.
    self->forget_socket();
    boost::system::error_code error;
    self->socket.assign(PQsocket(pg), error);
    if (error)
      co_return std::unexpected(
          ConnectFailure{false, false, "the connection's socket cannot be watched: " + error.message()});
    co_await wait(self, next == PGRES_POLLING_READING, next == PGRES_POLLING_WRITING, deadline);
    if (!self->pg)
      co_return std::unexpected(ConnectFailure{false, false, "the connection was closed while it was being made"});
    if (is_past(deadline)) {
      const auto waited = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
      co_return std::unexpected(ConnectFailure{false, false, what_is_awaited(pg, server) + " within " + shown(waited)});
    }
    self->forget_socket();
    next = PQconnectPoll(pg);
  }
  if (next != PGRES_POLLING_OK) co_return std::unexpected(failure_of(*self, server));
  if (PQserverVersion(pg) < kOldestServer) {
    co_return std::unexpected(ConnectFailure{true, true,
                                             "the server at " + shown(server) + " is PostgreSQL " +
                                                 std::to_string(PQserverVersion(pg) / 10000) +
                                                 ", but 14 or newer is needed"});
  }
  PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
  PQsetnonblocking(pg, 1);
  self->forget_socket();
  boost::system::error_code error;
  self->socket.assign(PQsocket(pg), error);
  if (error)
    co_return std::unexpected(
        ConnectFailure{false, false, "the connection's socket cannot be watched: " + error.message()});
  co_return Done();
}

std::string session_settings(const StatementLimits& limits) {
  return "set default_transaction_isolation = 'read committed';"
         "set timezone = 'UTC';"
         "set datestyle = 'ISO, YMD';"
         "set client_encoding = 'UTF8';"
         "set standard_conforming_strings = on;"
         "set client_min_messages = warning;"
         "set statement_timeout = " +
         std::to_string(limits.statement.count()) +
         ";"
         "set lock_timeout = " +
         std::to_string(limits.lock.count()) +
         ";"
         "set idle_in_transaction_session_timeout = '10s';"
         "set tcp_keepalives_idle = 10;"
         "set tcp_keepalives_interval = 5;"
         "set tcp_keepalives_count = 3;"
         "set tcp_user_timeout = '10s';"
         // The statements pin their plans; what could tempt the planner away from them is off.
         "set enable_seqscan = off;"
         "set enable_hashjoin = off;"
         "set enable_mergejoin = off;"
         "set enable_bitmapscan = off;"
         "set jit = off;"
         "set plan_cache_mode = force_generic_plan;"
         "select pid, backend_start, pg_postmaster_start_time() from pg_stat_activity where pid = pg_backend_pid()";
}

asio::awaitable<SqlReply> run_script_on(SessionPointer self, std::string script, MonotonicTime deadline);

asio::awaitable<Done> prepare_session(SessionPointer self, StatementLimits limits, MonotonicTime deadline) {
  const SqlReply reply = co_await run_script_on(self, session_settings(limits), deadline);
  if (!reply) {
    const bool by_server = reply.error().kind == SqlErrorKind::kServer;
    co_return std::unexpected(
        ConnectFailure{by_server, false, "the session could not be set up: " + reply.error().message});
  }
  const auto& rows = reply->back().rows;
  if (rows.size() != 1 || rows[0].size() != 3) {
    co_return std::unexpected(ConnectFailure{true, true, "the server does not show this session in pg_stat_activity"});
  }
  self->id = SessionId{rows[0][0].value_or(""), rows[0][1].value_or(""), rows[0][2].value_or("")};
  self->behind_pooler = self->id.process_id != std::to_string(PQbackendPID(self->pg.get()));
  self->limits = limits;
  co_return Done();
}

using Addresses = std::expected<std::vector<ServerAddress>, ConnectFailure>;

bool needs_resolving(const ServerAddress& server) {
  if (!server.host_address.empty() || server.host.empty() || server.host.starts_with('/') ||
      server.host.starts_with('@'))
    return false;
  boost::system::error_code not_an_address;
  asio::ip::make_address(server.host, not_an_address);
  return static_cast<bool>(not_an_address);
}

struct Resolution {
  explicit Resolution(asio::any_io_executor executor) : resolver(executor), timer(executor) {}
  asio::ip::tcp::resolver resolver;
  asio::steady_timer timer;
  bool done = false;
  boost::system::error_code error;
  asio::ip::tcp::resolver::results_type results;
};

/// Names are resolved here, and not in libpq, because that would hold up the thread of the whole protocol.
asio::awaitable<Addresses> resolve(asio::any_io_executor executor, ServerAddress server, MonotonicTime deadline,
                                   std::shared_ptr<ConnectProgress> progress) {
  if (!needs_resolving(server)) co_return std::vector<ServerAddress>{server};
  auto resolution = std::make_shared<Resolution>(executor);
  resolution->timer.expires_at(deadline);
  resolution->resolver.async_resolve(server.host, "", [resolution](auto error, auto results) {
    resolution->done = true;
    resolution->error = error;
    resolution->results = std::move(results);
    resolution->timer.cancel();
  });
  progress->interrupt = [weak = std::weak_ptr(resolution)] {
    if (const auto waiting = weak.lock()) waiting->timer.cancel();
  };
  boost::system::error_code ignored;
  co_await resolution->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  const std::string host = "host \"" + printable(server.host) + "\"";
  if (!resolution->done)
    co_return std::unexpected(
        ConnectFailure{false, false, host + " could not be resolved in time: the name service does not answer"});
  if (resolution->error) {
    const bool unknown = resolution->error == asio::error::host_not_found || resolution->error == asio::error::no_data;
    co_return std::unexpected(ConnectFailure{
        unknown, false, host + (unknown ? " is unknown: " : " could not be resolved: ") + resolution->error.message()});
  }
  std::vector<ServerAddress> addresses;
  for (const auto& entry : resolution->results) {
    ServerAddress address = server;
    address.host_address = entry.endpoint().address().to_string();
    addresses.push_back(std::move(address));
  }
  co_return addresses;
}

asio::awaitable<std::expected<SessionPointer, ConnectFailure>> open_address(
    asio::any_io_executor executor, std::shared_ptr<const ConnectionString> where, ServerAddress server,
    StatementLimits limits, MonotonicTime deadline, std::shared_ptr<ConnectProgress> progress) {
  auto self = std::make_shared<LibpqSession>(executor, where);
  self->running = true;
  progress->interrupt = [weak = std::weak_ptr(self)] {
    if (const auto session = weak.lock()) session->shut();
  };
  Done done = co_await shake_hands(self, server, deadline, progress);
  if (done) done = co_await prepare_session(self, limits, deadline);
  if (!done) co_return std::unexpected(std::move(done.error()));
  self->running = false;
  self->watch_socket(true, false);
  co_return self;
}

// ---- running

/// Takes in whatever has arrived and sends what can be sent.
///
/// Returns: 1, more is to be sent; 0, nothing is; -1, the connection is broken.
int exchange(LibpqSession& session) {
  const int flushed = PQflush(session.pg.get());
  if (flushed < 0) return -1;
  if (PQconsumeInput(session.pg.get()) == 0) return -1;
  return flushed;
}

SqlError lost(LibpqSession& session, std::string why) {
  SqlError error{SqlErrorKind::kLost, {}, std::move(why)};
  session.shut();
  return error;
}

SqlError lost_in_time(LibpqSession& session) {
  return lost(session, "the server did not answer in time");
}

bool send_limits(LibpqSession& session, const StatementLimits& limits, Pass& pass) {
  if (session.limits == limits) return true;
  const std::string statement = std::to_string(limits.statement.count());
  const std::string lock = std::to_string(limits.lock.count());
  const std::array<const char*, 2> values{statement.c_str(), lock.c_str()};
  pass.awaited.push_back({Sent::kLimits, 0});
  pass.awaited.push_back({Sent::kSync, 0});
  return PQsendQueryParams(session.pg.get(),
                           "select set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)",
                           2, nullptr, values.data(), nullptr, nullptr, 0) == 1 &&
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

/// All but its Sync.
bool send_statement(LibpqSession& session, const SqlStatement& statement, std::size_t index, Pass& pass) {
  PGconn* const pg = session.pg.get();
  auto& prepared = session.prepared_for(statement.text);
  // A client that is stopped between Execute and Sync would hold the statement's locks for as long as it stands still.
  // So Execute never ends a block; a Flush request, which asks for nothing here, moves it on.
  const bool ends_a_block = bytes_until_sync(statement, prepared.name.size(), !prepared.ready) % kLibpqBlock == 0;
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

/// Whether all that libpq will be given of the job stays in its buffer until the Sync, so that one write carries it.
bool fits_one_write(LibpqSession& session, const SqlRequest& job) {
  std::size_t bytes = 0;
  for (const auto& statement : job.statements) {
    const auto& prepared = session.prepared_for(statement.text);
    bytes += bytes_until_sync(statement, prepared.name.size(), !prepared.ready);
  }
  constexpr std::size_t kSync = 5;
  return bytes + kSync < kLibpqBlock;
}

/// The statements from `first` on: one transaction, or one each.
bool send_statements(LibpqSession& session, const SqlRequest& job, std::size_t first, Pass& pass) {
  for (std::size_t i = first; i < job.statements.size(); ++i) {
    auto& prepared = session.prepared_for(job.statements[i].text);
    if (prepared.stale && !send_deallocate(session, prepared, i, pass)) return false;
  }
  const bool share = job.may_share_transaction && fits_one_write(session, job);
  for (std::size_t i = first; i < job.statements.size(); ++i) {
    if (!send_statement(session, job.statements[i], i, pass)) return false;
    const bool ends = !share || i + 1 == job.statements.size();
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

/// Handles the results that are there. False: the connection speaks nonsense.
bool take_results(LibpqSession& session, const SqlRequest& job, const StatementLimits& limits, Pass& pass,
                  std::vector<SqlRows>& rows) {
  PGconn* const pg = session.pg.get();
  while (!pass.awaited.empty() && PQisBusy(pg) == 0) {
    const ResultPointer result(PQgetResult(pg));
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
        if (item.what == Sent::kPrepare) session.prepared_for(job.statements[item.statement].text).ready = true;
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

asio::awaitable<PassReply> run_pass(SessionPointer self, std::shared_ptr<const SqlRequest> job, StatementLimits limits,
                                    std::size_t first, std::shared_ptr<std::vector<SqlRows>> rows) {
  Pass pass;
  const bool sent =
      job->statements.empty() || (send_limits(*self, limits, pass) && send_statements(*self, *job, first, pass));
  if (!sent) co_return std::unexpected(lost(*self, self->complaint()));
  while (true) {
    const int state = exchange(*self);
    const bool sane = take_results(*self, *job, limits, pass, *rows);
    if (!sane && state >= 0)
      co_return std::unexpected(lost(*self, "the server's answers do not belong to what was asked"));
    if (pass.awaited.empty()) co_return pass;
    if (state < 0) co_return std::unexpected(lost(*self, pass.failed ? pass.error.message : self->complaint()));
    if (is_past(job->deadline)) co_return std::unexpected(lost_in_time(*self));
    co_await wait(self, true, state > 0, job->deadline);
    if (!self->pg) co_return std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the connection was closed"});
  }
}

asio::awaitable<SqlReply> run_passes(SessionPointer self, std::shared_ptr<const SqlRequest> job,
                                     StatementLimits limits) {
  auto rows = std::make_shared<std::vector<SqlRows>>(job->statements.size());
  std::size_t first = 0;
  for (int attempt = 1;; ++attempt) {
    PassReply pass = co_await run_pass(self, job, limits, first, rows);
    if (!pass) co_return std::unexpected(std::move(pass.error()));
    if (!pass->failed) co_return std::move(*rows);
    const auto& failed = job->statements[*pass->failed];
    const bool again = attempt < kPrepareAttempts && forget_prepared(*self, failed.text, pass->error);
    // What may have shared its transaction went with it; sent again by itself, each finds what the other has done.
    first = job->may_share_transaction ? 0 : *pass->failed;
    if (!again) co_return std::unexpected(std::move(pass->error));
  }
}

/// libpq takes texts up to their first NUL byte, so one within would silently change the value.
bool holds_nul(const SqlRequest& job) {
  for (const auto& statement : job.statements) {
    for (const auto& parameter : statement.parameters) {
      if (parameter && parameter->contains('\0')) return true;
    }
  }
  return false;
}

/// Whether a job can go out; if not, nothing of it has.
std::optional<SqlError> reason_not_to_send(LibpqSession& session, MonotonicTime deadline) {
  if (!session.pg) return SqlError{SqlErrorKind::kNotSent, {}, "the connection is closed"};
  if (is_past(deadline)) return SqlError{SqlErrorKind::kNotSent, {}, "the time was up before anything was sent"};
  if (!session.consume_unasked()) {
    SqlError error{SqlErrorKind::kNotSent, {}, session.complaint()};
    session.shut();
    return error;
  }
  session.warning.clear();
  return std::nullopt;
}

void rest(LibpqSession& session) {
  session.running = false;
  if (session.pg) session.watch_socket(true, false);
}

asio::awaitable<SqlReply> run_job_on(SessionPointer self, std::shared_ptr<const SqlRequest> job,
                                     StatementLimits limits) {
  if (holds_nul(*job)) {
    co_return std::unexpected(
        SqlError{SqlErrorKind::kServer, "22021", "a parameter holds a NUL byte: no text in the database can"});
  }
  if (auto reason = reason_not_to_send(*self, job->deadline)) co_return std::unexpected(std::move(*reason));
  HASIGNER_ASSERT(!self->running);
  if (PQpipelineStatus(self->pg.get()) == PQ_PIPELINE_OFF) PQenterPipelineMode(self->pg.get());
  self->running = true;
  const StatementLimits wanted = job->confirm ? limits : fitted(limits, job->deadline);
  SqlReply reply = co_await run_passes(self, job, wanted);
  const bool left_open = self->pg && PQtransactionStatus(self->pg.get()) != PQTRANS_IDLE;
  if (left_open) self->shut();
  rest(*self);
  if (job->confirm && !self->warning.empty()) {
    co_return std::unexpected(
        SqlError{SqlErrorKind::kLost, {}, "not confirmed, because the server gave a warning: " + self->warning});
  }
  co_return reply;
}

/// False: the connection speaks nonsense.
bool take_script_results(LibpqSession& session, std::vector<SqlRows>& rows, std::optional<SqlError>& error,
                         bool& done) {
  while (!done && PQisBusy(session.pg.get()) == 0) {
    const ResultPointer result(PQgetResult(session.pg.get()));
    if (!result) {
      done = true;
      break;
    }
    switch (PQresultStatus(result.get())) {
      case PGRES_EMPTY_QUERY:
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK: rows.push_back(rows_of(result.get())); break;
      case PGRES_FATAL_ERROR:
        if (!error) error = server_error(result.get());
        break;
      default: return false;
    }
  }
  return true;
}

asio::awaitable<SqlReply> converse(SessionPointer self, MonotonicTime deadline) {
  std::vector<SqlRows> rows;
  std::optional<SqlError> error;
  bool done = false;
  while (true) {
    const int state = exchange(*self);
    const bool sane = take_script_results(*self, rows, error, done);
    if (!sane && state >= 0)
      co_return std::unexpected(lost(*self, "the server's answers do not belong to what was asked"));
    const bool ended = state < 0 || PQstatus(self->pg.get()) != CONNECTION_OK;
    if (ended) co_return std::unexpected(lost(*self, error ? error->message : self->complaint()));
    if (done) break;
    if (is_past(deadline)) co_return std::unexpected(lost_in_time(*self));
    co_await wait(self, true, state > 0, deadline);
    if (!self->pg) co_return std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the connection was closed"});
  }
  if (error) co_return std::unexpected(std::move(*error));
  co_return rows;
}

asio::awaitable<SqlReply> run_script_on(SessionPointer self, std::string script, MonotonicTime deadline) {
  PGconn* const pg = self->pg.get();
  if (PQpipelineStatus(pg) != PQ_PIPELINE_OFF) PQexitPipelineMode(pg);
  if (PQsendQuery(pg, script.c_str()) != 1) co_return std::unexpected(lost(*self, self->complaint()));
  SqlReply reply = co_await converse(self, deadline);
  co_return reply;
}

asio::awaitable<SqlReply> run_script_alone(SessionPointer self, std::string script, MonotonicTime deadline) {
  if (auto reason = reason_not_to_send(*self, deadline)) co_return std::unexpected(std::move(*reason));
  HASIGNER_ASSERT(!self->running);
  self->running = true;
  SqlReply reply = co_await run_script_on(self, std::move(script), deadline);
  rest(*self);
  co_return reply;
}

}  // namespace

asio::awaitable<LibpqConnection::Opened> LibpqConnection::open(asio::any_io_executor executor,
                                                               std::shared_ptr<const ConnectionString> where,
                                                               ServerAddress server, StatementLimits limits,
                                                               MonotonicTime deadline,
                                                               std::shared_ptr<ConnectProgress> progress) {
  progress->waiting_for = "the address of " + shown(server) + " is not known yet";
  Addresses addresses = co_await resolve(executor, server, deadline, progress);
  if (!addresses) co_return std::unexpected(std::move(addresses.error()));
  ConnectFailure failure{true, false, {}};
  for (std::size_t i = 0; i < addresses->size() && !progress->given_up; ++i) {
    // Each address gets its share of the time, so that a silent one does not use up that of the others.
    const auto now = std::chrono::steady_clock::now();
    const auto share = now + (deadline - now) / static_cast<int>(addresses->size() - i);
    auto session = co_await open_address(executor, where, (*addresses)[i], limits, share, progress);
    if (session) co_return std::unique_ptr<LibpqConnection>(new LibpqConnection(std::move(*session)));
    failure.permanent = failure.permanent && session.error().permanent;
    failure.incompatible = session.error().incompatible;
    if (!failure.message.contains(session.error().message)) {
      failure.message += (failure.message.empty() ? "" : "; ") + session.error().message;
    }
  }
  co_return std::unexpected(std::move(failure));
}

LibpqConnection::LibpqConnection(std::shared_ptr<LibpqSession> session) : session_(std::move(session)) {}

LibpqConnection::~LibpqConnection() {
  close();
}

asio::awaitable<SqlReply> LibpqConnection::run(std::shared_ptr<const SqlRequest> job, StatementLimits limits) {
  return run_job_on(session_, std::move(job), limits);
}

asio::awaitable<SqlReply> LibpqConnection::run_script(std::string script, MonotonicTime deadline) {
  return run_script_alone(session_, std::move(script), deadline);
}

bool LibpqConnection::usable() const {
  return session_->pg && PQstatus(session_->pg.get()) == CONNECTION_OK;
}

bool LibpqConnection::behind_pooler() const {
  return session_->behind_pooler;
}

const SessionId& LibpqConnection::session() const {
  return session_->id;
}

const StatementLimits& LibpqConnection::limits() const {
  return session_->limits;
}

void LibpqConnection::on_end_while_idle(std::function<void()> ended) {
  session_->on_end = std::move(ended);
}

void LibpqConnection::close() {
  session_->on_end = nullptr;
  session_->shut();
}

std::size_t bytes_until_sync(const SqlStatement& statement, std::size_t name_length, bool with_parse) {
  constexpr std::size_t kHead = 5;  // of each message: its type and its length
  constexpr std::size_t kDescribe = kHead + 2;
  constexpr std::size_t kExecute = kHead + 5;
  const std::size_t parse = with_parse ? kHead + name_length + 1 + statement.text.size() + 1 + 2 : 0;
  std::size_t bind = kHead + 1 + name_length + 1 + 2 + 2 + 4;
  for (const auto& parameter : statement.parameters) bind += 4 + (parameter ? parameter->size() : 0);
  return parse + bind + kDescribe + kExecute;
}

ConnectComplaint read_connect_complaint(std::string_view libpq_text) {
  ConnectComplaint complaint;
  std::string text(libpq_text);
  // "FATAL:  3D000: database …" and then a line "LOCATION:  function, file.c:123", each word translated perhaps.
  for (std::size_t at = text.find(":  "); at != std::string::npos; at = text.find(":  ", at + 3)) {
    const auto code = std::string_view(text).substr(at + 3, 5);
    const bool is_code = code.size() == 5 &&
                         code.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == code.npos &&
                         std::string_view(text).substr(at + 8, 2) == ": ";
    if (!is_code) continue;
    complaint.sqlstate = code;
    text.erase(at + 2, 8);
  }
  std::size_t begin = 0;
  while (begin < text.size()) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = one_line(std::string_view(text).substr(begin, end - begin));
    const bool is_location = line.find(".c:") != std::string::npos &&
                             line.find_last_not_of("0123456789") + 1 != line.size() &&
                             line.find(":  ") != std::string::npos;
    if (!line.empty() && !is_location && !complaint.message.contains(line)) {
      complaint.message += (complaint.message.empty() ? "" : " ") + line;
    }
    begin = end + 1;
  }
  return complaint;
}

}  // namespace hasigner::postgres
