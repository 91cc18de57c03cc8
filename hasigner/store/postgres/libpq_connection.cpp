#include "hasigner/store/postgres/libpq_connection.hpp"

#include <libpq-fe.h>

#include "hasigner/store/postgres/host_addresses.hpp"
#include "hasigner/store/postgres/libpq_open.hpp"
#include "hasigner/store/postgres/libpq_pipeline.hpp"
#include "hasigner/store/postgres/libpq_script.hpp"

namespace hasigner::postgres {

asio::awaitable<LibpqConnection::Opened> LibpqConnection::open(asio::any_io_executor executor,
                                                               std::shared_ptr<const ConnectionString> where,
                                                               ServerAddress server, StatementLimits limits,
                                                               MonotonicTime deadline,
                                                               std::shared_ptr<ConnectProgress> progress) {
  progress->waiting_for = "the address of " + shown(server) + " is not known yet";
  auto addresses = co_await resolve(executor, server, deadline, progress);
  if (!addresses) co_return std::unexpected(std::move(addresses.error()));
  ConnectFailure failure{.permanent = true};
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

asio::awaitable<SqlReply> LibpqConnection::run(std::shared_ptr<const SqlRequest> request, StatementLimits limits) {
  return run_request_on(session_, std::move(request), limits);
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

}  // namespace hasigner::postgres
