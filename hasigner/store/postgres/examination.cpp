#include "hasigner/store/postgres/examination.hpp"

#include "hasigner/store/postgres/blocking_wait.hpp"
#include "hasigner/store/postgres/libpq_connection.hpp"
#include "hasigner/store/postgres/libpq_open.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {

namespace {

constexpr StatementLimits kLookLimits{.statement = milliseconds(5'000), .lock = milliseconds(1'000)};
constexpr milliseconds kAnswerTimeout{10'000};

MonotonicTime in_time(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

std::expected<SqlRows, SqlError> ask_on(asio::io_context& context, LibpqConnection& connection,
                                        std::string_view statement) {
  const std::string script = "begin transaction read only;\n" + std::string(statement) + ";\ncommit";
  SqlReply reply = wait_for(context, connection.run_script(script, in_time(kAnswerTimeout)));
  if (reply && reply->size() == 3) return std::move((*reply)[1]);
  if (connection.usable()) (void)wait_for(context, connection.run_script("rollback", in_time(kAnswerTimeout)));
  if (!reply) return std::unexpected(std::move(reply.error()));
  return std::unexpected(SqlError{SqlErrorKind::kServer, {}, "the server's answer has another shape"});
}

}  // namespace

struct Examination::State {
  explicit State(ConnectionString given)
      : where(std::move(given)), any(std::make_shared<const ConnectionString>(where.for_any_server())) {}

  void look_at(const ServerAddress& address) {
    ExaminedServer server{.name = shown(address)};
    auto opened =
        wait_for(context, LibpqConnection::open(context.get_executor(), any, address, kLookLimits,
                                                in_time(any->connect_timeout()), std::make_shared<ConnectProgress>()));
    if (!opened) {
      server.failure = std::move(opened.error());
      servers.push_back(std::move(server));
      return;
    }
    auto recovery = ask_on(context, **opened, sql_texts(kNewestSchemaVersion).server_is_standby);
    if (!recovery) server.failure = ConnectFailure{.message = recovery.error().message};
    server.in_recovery = recovery && recovery->rows.at(0).at(0) == "t";
    server.started_at = (*opened)->session().server_started_at;
    const bool is_better = !connection || (kept_is_standby && !server.in_recovery);
    if (recovery && is_better) {
      kept_is_standby = server.in_recovery;
      connection = std::move(*opened);
    }
    servers.push_back(std::move(server));
  }

  ConnectionString where;
  std::shared_ptr<const ConnectionString> any;
  asio::io_context context{1};
  std::unique_ptr<LibpqConnection> connection;
  bool kept_is_standby = false;
  std::vector<ExaminedServer> servers;
};

Parsed<Examination> Examination::open(std::string_view url) {
  auto where = ConnectionString::parse(url);
  if (!where) return std::unexpected(std::move(where.error()));
  auto state = std::make_unique<State>(std::move(*where));
  for (const auto& address : state->where.servers()) state->look_at(address);
  return Examination(std::move(state));
}

const ConnectionString& Examination::where() const {
  return state_->where;
}

const std::vector<ExaminedServer>& Examination::servers() const {
  return state_->servers;
}

bool Examination::is_connected() const {
  return state_->connection != nullptr;
}

bool Examination::behind_pooler() const {
  return state_->connection && state_->connection->behind_pooler();
}

std::expected<SqlRows, SqlError> Examination::ask(std::string_view statement) {
  if (!state_->connection || !state_->connection->usable()) {
    return std::unexpected(SqlError{SqlErrorKind::kNotSent, {}, "there is no connection to the server"});
  }
  return ask_on(state_->context, *state_->connection, statement);
}

Examination::Examination(std::unique_ptr<State> state) : state_(std::move(state)) {}
Examination::Examination(Examination&&) noexcept = default;
Examination& Examination::operator=(Examination&&) noexcept = default;
Examination::~Examination() = default;

}  // namespace hasigner::postgres
