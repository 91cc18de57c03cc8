#include "hasigner/store/postgres/libpq_session.hpp"

#include <libpq-fe.h>

#include <boost/asio/redirect_error.hpp>
#include <cstdio>
#include <utility>

#include "hasigner/store/postgres/libpq_results.hpp"

namespace hasigner::postgres {
namespace {

/// FNV-1a: the same text has the same name in every process, which is what a pooler needs.
std::string statement_name(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  char name[24];
  std::snprintf(name, sizeof name, "hs_%016llx", static_cast<unsigned long long>(hash));
  return name;
}

/// Whether this is a RAISE WARNING of a PL/pgSQL function, of an audit trigger for example. It ran before the commit,
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
  if (severity == "FATAL" || severity == "PANIC") self.ending = true;
}

}  // namespace

void PgFinish::operator()(pg_conn* pg) const {
  PQfinish(pg);
}

LibpqSession::LibpqSession(asio::any_io_executor executor, std::shared_ptr<const ConnectionString> string)
    : where(std::move(string)), socket(executor), timer(executor) {}

LibpqSession::~LibpqSession() {
  shut();
}

void LibpqSession::forget_socket() {
  ++watch;
  reading = writing = false;
  if (socket.is_open()) socket.release();
}

void LibpqSession::shut() {
  forget_socket();
  pg.reset();
  timer.cancel();
}

void LibpqSession::watch_socket(Readiness awaited) {
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
  if (awaited.to_read && !reading) {
    reading = true;
    socket.async_wait(asio::posix::stream_descriptor::wait_read, notify(&LibpqSession::reading));
  }
  if (awaited.to_write && !writing) {
    writing = true;
    socket.async_wait(asio::posix::stream_descriptor::wait_write, notify(&LibpqSession::writing));
  }
}

bool LibpqSession::consume_unasked() {
  // A notice may be the server's last, with the end of the connection right behind it.
  std::uint64_t before = 0;
  do {
    before = notices;
    if (PQconsumeInput(pg.get()) == 0) return false;
    (void)PQisBusy(pg.get());
  } while (notices != before);
  return !ending && PQstatus(pg.get()) == CONNECTION_OK;
}

void LibpqSession::look_while_idle() {
  if (!pg) return;
  if (consume_unasked()) {
    watch_socket({.to_read = true});
    return;
  }
  shut();
  if (auto ended = std::exchange(on_end, nullptr)) ended();
}

std::string LibpqSession::complaint() const {
  return where->scrub(one_line(pg ? PQerrorMessage(pg.get()) : "the connection was closed"));
}

PreparedStatement& LibpqSession::prepared_for(std::string_view text) {
  if (const auto found = prepared.find(text); found != prepared.end()) return found->second;
  return prepared.emplace(std::string(text), PreparedStatement{.name = statement_name(text)}).first->second;
}

void LibpqSession::become_idle() {
  running = false;
  if (pg) watch_socket({.to_read = true});
}

void LibpqSession::receive_notices() {
  PQsetNoticeReceiver(pg.get(), receive_notice, this);
}

bool is_past(MonotonicTime deadline) {
  return std::chrono::steady_clock::now() >= deadline;
}

asio::awaitable<void> wait(SessionPointer session, Readiness awaited, MonotonicTime deadline) {
  session->watch_socket(awaited);
  session->timer.expires_at(deadline);
  boost::system::error_code ignored;
  co_await session->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

Exchanged exchange(LibpqSession& session) {
  const int flushed = PQflush(session.pg.get());
  if (flushed < 0) return Exchanged::kBroken;
  if (PQconsumeInput(session.pg.get()) == 0) return Exchanged::kBroken;
  return flushed == 0 ? Exchanged::kEverything : Exchanged::kMoreToSend;
}

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

SqlError lost(LibpqSession& session, std::string why) {
  SqlError error{SqlErrorKind::kLost, {}, std::move(why)};
  session.shut();
  return error;
}

SqlError lost_in_time(LibpqSession& session) {
  return lost(session, "the server did not answer in time");
}

SqlError lost_out_of_step(LibpqSession& session) {
  return lost(session, "the server's answers do not belong to what was asked");
}

SqlError lost_by_closing() {
  return {SqlErrorKind::kLost, {}, "the connection was closed"};
}

}  // namespace hasigner::postgres
