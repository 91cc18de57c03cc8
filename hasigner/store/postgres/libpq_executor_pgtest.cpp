#include "hasigner/store/postgres/libpq_executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <iostream>
#include <map>
#include <random>

#include "hasigner/store/postgres/libpq_pipeline.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace hasigner::postgres {
namespace {

using namespace std::chrono_literals;
using test::PostgresServer;
using test::SqlSession;
using test::TcpProxy;
using testing::HasSubstr;
using testing::Not;

MonotonicTime in(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

SqlRequest request(std::string_view text, SqlPriority priority = SqlPriority::kBackground, milliseconds time = 10s) {
  return {.statements = {{text, {}}}, .priority = priority, .deadline = in(time)};
}

SqlRequest confirmed(std::string_view text, milliseconds time = 10s) {
  SqlRequest one = request(text, SqlPriority::kRecord, time);
  one.confirm = true;
  return one;
}

/// An executor with a thread-less io_context of its own, driven by the test.
class Fixture {
 public:
  explicit Fixture(PoolConfig config) : executor(make(std::move(config))) {}
  ~Fixture() { wait(executor->close()); }

  std::shared_ptr<LibpqExecutor> make(PoolConfig config) {
    auto made = LibpqExecutor::create(io.get_executor(), std::move(config));
    if (!made) throw std::runtime_error(made.error().message());
    return *made;
  }

  template <class T>
  std::future<T> start(asio::awaitable<T> work) {
    return asio::co_spawn(io, std::move(work), asio::use_future);
  }

  template <class T>
  T wait(std::future<T> result) {
    const auto end = in(30s);
    while (result.wait_for(0s) != std::future_status::ready) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the test waits too long");
      io.restart();
      io.run_one_for(10ms);
    }
    return result.get();
  }

  template <class T>
  T wait(asio::awaitable<T> work) {
    return wait(start(std::move(work)));
  }

  /// Lets the executor work until a condition holds that others bring about.
  template <class Condition>
  [[nodiscard]] bool work_until(Condition condition) {
    const auto end = in(20s);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      io.run_one_for(5ms);
    }
    return true;
  }
  /// Lets the executor work until so many requests wait for a connection.
  [[nodiscard]] bool work_until_waiting(std::size_t requests) {
    return work_until([&] { return executor->connections()->waiting == requests; });
  }
  /// Lets the executor work until the server is at work on so many statements of this text.
  [[nodiscard]] bool work_until_active(const PostgresServer& server, std::string_view text, int count = 1) {
    SqlSession observer(server.url());
    const std::string question =
        "select count(*) from pg_stat_activity where state = 'active' and query = '" + std::string(text) + "'";
    return work_until([&] { return observer.exec(question) == std::to_string(count); });
  }

  SqlReply run(SqlRequest one) { return wait(executor->run(std::move(one))); }

  /// The first column of the first row.
  std::string value(std::string_view text) {
    const auto reply = run(request(text, SqlPriority::kBackground, 20s));
    if (!reply) return "error: " + reply.error().message;
    return reply->at(0).rows.at(0).at(0).value_or("null");
  }

  asio::io_context io;
  std::shared_ptr<LibpqExecutor> executor;
};

/// Statements that wait until the test lets them go on. A lock in the database would be subject to their time-outs.
class Barrier {
 public:
  static constexpr std::string_view kWait = "select wait_at_barrier()";  ///< gives the session's process id

  explicit Barrier(const PostgresServer& server) : keeper_(server.url()) {
    keeper_.exec(
        "create or replace function wait_at_barrier() returns integer language plpgsql as $$ begin "
        "while not pg_try_advisory_xact_lock_shared(4711) loop perform pg_sleep(0.005); end loop; "
        "return pg_backend_pid(); end $$; select pg_advisory_lock(4711)");
  }
  void open() { keeper_.exec("select pg_advisory_unlock(4711)"); }

 private:
  SqlSession keeper_;
};

PoolConfig config_for(std::string url, std::size_t max = 4) {
  return PoolConfig{.url = std::move(url), .max = max};
}

TEST(LibpqExecutor, gives_the_rows_of_each_statement) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  SqlRequest two = request("select $1::text, null, 'ä'");
  two.statements[0].parameters = {"a'b"};
  two.statements.push_back({"select generate_series(1, 3)", {}});
  const auto reply = fixture.run(std::move(two));
  ASSERT_TRUE(reply) << reply.error().message;
  ASSERT_EQ(reply->size(), 2u);
  const std::vector<std::optional<std::string>> row{"a'b", std::nullopt, "ä"};
  EXPECT_EQ(reply->at(0).rows.at(0), row);
  EXPECT_EQ(reply->at(1).rows.size(), 3u);
  EXPECT_EQ(reply->at(1).affected, 3u);
}

TEST(LibpqExecutor, an_error_of_the_server_keeps_the_session) {
  Fixture fixture(config_for(PostgresServer::shared().url(), 1));
  const auto before = fixture.value("select pg_backend_pid()");
  const auto reply = fixture.run(request("select 1 / 0"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kServer);
  EXPECT_EQ(reply.error().sqlstate, "22012");
  EXPECT_EQ(fixture.value("select pg_backend_pid()"), before);
}

TEST(LibpqExecutor, a_warning_is_not_a_confirmation) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  constexpr std::string_view kWarns = "select pg_cancel_backend(2147483647)";
  EXPECT_TRUE(fixture.run(request(kWarns)));
  const auto reply = fixture.run(confirmed(kWarns));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_THAT(reply.error().message, HasSubstr("the server gave a warning: PID 2147483647 is not a PostgreSQL"));
  EXPECT_THAT(reply.error().message, HasSubstr("[pg_signal_backend]"));
  EXPECT_TRUE(fixture.run(confirmed("select 1")));
}

TEST(LibpqExecutor, what_plpgsql_raises_speaks_of_no_commit_but_hides_no_other_warning) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  EXPECT_TRUE(fixture.run(confirmed("do $$ begin raise warning 'audited'; end $$")));
  // As near to the real thing as a function can come: PostgreSQL's own words and code.
  EXPECT_TRUE(fixture.run(
      confirmed("do $$ begin raise warning 'canceling wait for synchronous replication due to user request' using "
                "errcode = '01000', detail = 'The transaction has already committed locally'; end $$")));
  const auto both =
      fixture.run(confirmed("do $$ begin raise warning 'audited'; perform pg_cancel_backend(2147483647); end $$"));
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().kind, SqlErrorKind::kLost);
  EXPECT_THAT(both.error().message, HasSubstr("[pg_signal_backend]"));
}

TEST(LibpqExecutor, a_lost_reply_is_lost_and_its_session_is_found_alive_or_ended) {
  auto& server = PostgresServer::shared();
  TcpProxy proxy(server.port());
  auto config = config_for("postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/postgres", 2);
  Fixture fixture(config);
  ASSERT_EQ(fixture.value("select 1"), "1");
  SqlSession holder(server.url());
  holder.exec("create table if not exists held(value int)");
  holder.exec("begin; lock table held");
  const auto reply = fixture.run(confirmed("insert into held default values", 300ms));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_EQ(fixture.wait(fixture.executor->lost_sessions_alive(in(5s))), true);
  holder.exec("rollback");
  EXPECT_TRUE(test::eventually([&] {
    const auto alive = fixture.wait(fixture.executor->lost_sessions_alive(in(5s)));
    return alive && !*alive;
  }));
}

// No connection.

/// What connect_first says; it must not take longer than it may.
SqlError first_error(Fixture& fixture, milliseconds time = 20s) {
  const auto begin = std::chrono::steady_clock::now();
  const auto result = fixture.wait(fixture.executor->connect_first(in(time)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, time < 20s ? time + 3s : 10s)
      << "what is permanent is said at once";
  return result ? SqlError{SqlErrorKind::kLost, {}, "connected"} : result.error();
}

std::string url_of(const TcpProxy& proxy, const std::string& user = "postgres") {
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(proxy.port()) + "/postgres";
}

TEST(LibpqExecutor, a_closed_port_is_waited_for_and_then_named) {
  const auto port = std::to_string(test::free_port());
  Fixture fixture(config_for("postgresql://u:a-secret@127.0.0.1:" + port + "/d"));
  const auto begin = std::chrono::steady_clock::now();
  const auto error = first_error(fixture, 500ms);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 500ms);
  EXPECT_EQ(error.kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(error.message, HasSubstr("port " + port));
  EXPECT_THAT(error.message, HasSubstr("Connection refused"));
  EXPECT_THAT(error.message, Not(HasSubstr("a-secret")));
}

TEST(LibpqExecutor, a_wrong_database_is_named_at_once) {
  Fixture fixture(config_for(PostgresServer::shared().url("nowhere", "postgres", "a-secret")));
  const auto error = first_error(fixture);
  EXPECT_EQ(error.kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(error.message, HasSubstr("database \"nowhere\" does not exist"));
  EXPECT_THAT(error.message, Not(HasSubstr("a-secret")));
}

/// A server where the role `guarded` needs the password `open-sesame`.
PostgresServer& guarded_server() {
  static PostgresServer server({.access_rules = {"host all guarded 127.0.0.1/32 scram-sha-256"}});
  static const auto made = server.sql("create role guarded login password 'open-sesame'");
  return server;
}

TEST(LibpqExecutor, a_wrong_or_missing_password_is_named_at_once_and_never_shown) {
  Fixture right(config_for(guarded_server().url("postgres", "guarded", "open-sesame")));
  EXPECT_EQ(right.value("select session_user"), "guarded");
  Fixture wrong(config_for(guarded_server().url("postgres", "guarded", "a-secret")));
  auto error = first_error(wrong);
  EXPECT_THAT(error.message, HasSubstr("password authentication failed for user \"guarded\""));
  EXPECT_THAT(error.message, Not(HasSubstr("a-secret")));
  Fixture missing(config_for(guarded_server().url("postgres", "guarded")));
  error = first_error(missing);
  EXPECT_THAT(error.message, HasSubstr("no password supplied"));
}

TEST(LibpqExecutor, a_silent_server_hangs_no_request) {
  TcpProxy proxy(PostgresServer::shared().port());
  proxy.accept_and_stay_silent();
  Fixture fixture(config_for(url_of(proxy)));
  auto error = first_error(fixture, 300ms);
  EXPECT_EQ(error.kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(error.message, HasSubstr("has accepted the connection but has not answered"));
  EXPECT_THAT(error.message, HasSubstr(std::to_string(proxy.port())));
}

TEST(LibpqExecutor, a_server_that_falls_silent_amid_the_handshake_hangs_no_request) {
  TcpProxy proxy(guarded_server().port());
  proxy.set_to_client(test::Flow::kDrop);
  Fixture fixture(config_for(url_of(proxy, "guarded:open-sesame") + "?sslmode=disable&connect_timeout=1"));
  auto error = first_error(fixture, 1500ms);
  EXPECT_THAT(error.message, HasSubstr("has accepted the connection but has not answered"));
  EXPECT_GE(proxy.accepted(), 2u) << "after its own time-out the connection is tried anew";
}

TEST(LibpqExecutor, an_unknown_host_is_named) {
  Fixture fixture(config_for("postgresql://u:a-secret@no-such-host.invalid/d"));
  const auto error = first_error(fixture, 3s);
  EXPECT_EQ(error.kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(error.message, HasSubstr("no-such-host.invalid"));
  EXPECT_THAT(error.message, Not(HasSubstr("a-secret")));
}

TEST(LibpqExecutor, a_name_is_resolved) {
  Fixture fixture(
      config_for("postgresql://postgres@localhost:" + std::to_string(PostgresServer::shared().port()) + "/postgres"));
  EXPECT_EQ(fixture.value("select 1"), "1");
}

TEST(LibpqExecutor, a_socket_in_a_folder_is_connected_to) {
  auto& server = PostgresServer::shared();
  Fixture fixture(
      config_for("host=" + server.folder().string() + " port=" + std::to_string(server.port()) + " user=postgres"));
  EXPECT_EQ(fixture.value("select inet_server_addr() is null"), "t");
}

TEST(LibpqExecutor, a_server_without_tls_is_refused_at_once_where_tls_is_required) {
  Fixture fixture(config_for(PostgresServer::shared().url() + "?sslmode=require"));
  EXPECT_THAT(first_error(fixture).message, HasSubstr("does not support SSL"));
}

TEST(LibpqExecutor, requests_go_through_tls_and_a_wrong_certificate_is_refused_at_once) {
  PostgresServer server;
  server.make_certificate("localhost");
  server.set("ssl", "on");
  const auto at = [&](const std::string& host) {
    return config_for(
        "postgresql://postgres@" + host + ":" + std::to_string(server.port()) +
        "/postgres?sslmode=verify-full&sslrootcert=" + (server.folder() / "data" / "server.crt").string());
  };
  Fixture right(at("localhost"));
  EXPECT_EQ(right.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()"), "t");
  const std::string large(5'000'000, 'x');
  SqlRequest one = request("select $1::text");
  one.statements[0].parameters = {large};
  one.statements.push_back({"select repeat('y', 5000000)", {}});
  const auto reply = right.run(std::move(one));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->at(0).rows[0][0], large);
  EXPECT_EQ(reply->at(1).rows[0][0]->size(), large.size());
  Fixture wrong(at("127.0.0.1"));
  EXPECT_THAT(first_error(wrong).message, HasSubstr("certificate"));
}

TEST(LibpqExecutor, refuses_wrong_numbers) {
  asio::io_context io;
  const auto complaint = [&](PoolConfig config) {
    config.url = "postgresql://h/d";
    const auto made = LibpqExecutor::create(io.get_executor(), config);
    return made ? "accepted" : made.error().message();
  };
  EXPECT_THAT(complaint({.max = 0}), HasSubstr("pool max is '0'"));
  EXPECT_THAT(complaint({.max = 2, .min = 3}), HasSubstr("pool min is '3'"));
  EXPECT_THAT(complaint({.idle_timeout = -1ms}), HasSubstr("pool idle timeout is '-1'"));
  EXPECT_EQ(complaint({}), "accepted");
}

// Outages.

TEST(LibpqExecutor, a_restart_of_the_server_costs_time_only) {
  PostgresServer server;
  Fixture fixture(config_for(server.url(), 3));
  for (const auto mode : {test::StopMode::kFast, test::StopMode::kImmediate}) {
    ASSERT_EQ(fixture.value("select 1"), "1");
    server.stop(mode);
    std::vector<std::future<SqlReply>> waiting;
    for (int i = 0; i < 50; ++i) waiting.push_back(fixture.start(fixture.executor->run(confirmed("select 1", 20s))));
    ASSERT_TRUE(fixture.work_until([&] {
      const auto connections = fixture.executor->connections();
      return connections->waiting == waiting.size() && connections->open == 0;
    }));
    server.start();
    for (auto& one : waiting) {
      const auto reply = fixture.wait(std::move(one));
      EXPECT_TRUE(reply) << reply.error().message;
    }
  }
  server.kill();
  server.start();
  EXPECT_EQ(fixture.value("select 1"), "1");
}

TEST(LibpqExecutor, an_idle_connection_that_the_server_ends_does_no_harm) {
  auto& server = PostgresServer::shared();
  Fixture fixture(config_for(server.url()));
  for (const bool noticed : {true, false}) {
    const auto process = fixture.value("select pg_backend_pid()");
    server.sql("select pg_terminate_backend(" + process + ")");
    ASSERT_TRUE(test::eventually(
        [&] { return server.sql("select count(*) from pg_stat_activity where pid = " + process) == "0"; }));
    EXPECT_TRUE(!noticed || fixture.work_until([&] { return fixture.executor->connections()->open == 0; }));
    const auto reply = fixture.run(confirmed("select pg_backend_pid()"));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_NE(reply->at(0).rows[0][0], process);
  }
  EXPECT_EQ(fixture.wait(fixture.executor->lost_sessions_alive(in(5s))), false);
}

TEST(LibpqExecutor, a_connection_cut_under_a_statement_is_lost_at_once) {
  auto& server = PostgresServer::shared();
  TcpProxy proxy(server.port());
  Fixture fixture(config_for(url_of(proxy)));
  ASSERT_EQ(fixture.value("select 1"), "1");
  auto running = fixture.start(fixture.executor->run(confirmed("select pg_sleep(60)", 30s)));
  ASSERT_TRUE(fixture.work_until_active(server, "select pg_sleep(60)"));
  const auto begin = std::chrono::steady_clock::now();
  proxy.cut();
  const auto reply = fixture.wait(std::move(running));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_EQ(fixture.wait(fixture.executor->lost_sessions_alive(in(5s))), true);
  server.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(60)%'");
}

TEST(LibpqExecutor, a_reply_that_does_not_arrive_is_lost_though_the_row_is_there) {
  auto& server = PostgresServer::shared();
  server.sql("create table if not exists replies (value int)");
  TcpProxy proxy(server.port());
  Fixture fixture(config_for(url_of(proxy)));
  ASSERT_EQ(fixture.value("select count(*) from replies"), "0");
  proxy.set_to_client(test::Flow::kDrop);
  const auto reply = fixture.run(confirmed("insert into replies values (1)", 300ms));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_TRUE(test::eventually([&] { return server.sql("select count(*) from replies") == "1"; }));
  proxy.set_to_client(test::Flow::kPass);
  EXPECT_EQ(fixture.value("select count(*) from replies"), "1");
}

TEST(LibpqExecutor, a_session_lost_while_the_question_about_earlier_ones_waits_is_not_taken_for_ended) {
  auto& server = PostgresServer::shared();
  auto config = config_for(server.url());
  config.max = 1;
  Fixture fixture(config);
  ASSERT_EQ(fixture.value("select 1"), "1") << "a connection is there, so the statement is sent";
  ASSERT_FALSE(fixture.run(confirmed("select pg_sleep(61)", 200ms)));
  ASSERT_EQ(fixture.value("select 1"), "1");
  auto lost_later = fixture.start(fixture.executor->run(confirmed("select pg_sleep(62)", 2s)));
  ASSERT_TRUE(fixture.work_until_active(server, "select pg_sleep(62)"));
  auto question = fixture.start(fixture.executor->lost_sessions_alive(in(20s)));
  ASSERT_TRUE(fixture.work_until_waiting(1));
  const std::string ends = "select pg_terminate_backend(pid) from pg_stat_activity where query = ";
  server.sql(ends + "'select pg_sleep(61)'");
  EXPECT_FALSE(fixture.wait(std::move(lost_later)));
  EXPECT_EQ(fixture.wait(std::move(question)), true) << "the second one lives";
  server.sql(ends + "'select pg_sleep(62)'");
  EXPECT_TRUE(test::eventually([&] { return fixture.wait(fixture.executor->lost_sessions_alive(in(5s))) == false; }));
}

TEST(LibpqExecutor, sessions_of_an_earlier_life_of_the_server_count_as_ended) {
  PostgresServer server;
  Fixture fixture(config_for(server.url()));
  ASSERT_EQ(fixture.value("select 1"), "1") << "a connection is there, so the statement is sent";
  ASSERT_FALSE(fixture.run(confirmed("select pg_sleep(60)", 200ms)));
  EXPECT_EQ(fixture.wait(fixture.executor->lost_sessions_alive(in(5s))), true);
  server.restart(test::StopMode::kImmediate);
  EXPECT_EQ(fixture.wait(fixture.executor->lost_sessions_alive(in(10s))), false);
}

TEST(LibpqExecutor, too_many_connections_are_waited_for) {
  PostgresServer server(
      {.settings = {"max_connections = 5", "superuser_reserved_connections = 0", "max_wal_senders = 0"}});
  std::vector<std::unique_ptr<SqlSession>> others;
  for (int i = 0; i < 5; ++i) others.push_back(std::make_unique<SqlSession>(server.url()));
  Fixture fixture(config_for(server.url()));
  const auto in_vain = fixture.run(request("select 1", SqlPriority::kClaim, 500ms));
  ASSERT_FALSE(in_vain);
  EXPECT_EQ(in_vain.error().kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(in_vain.error().message, HasSubstr("too many clients"));
  auto waiting = fixture.start(fixture.executor->run(request("select 1")));
  ASSERT_TRUE(fixture.work_until_waiting(1));
  others.pop_back();
  EXPECT_TRUE(fixture.wait(std::move(waiting)));
  // One connection is all there is; every other request goes through it.
  std::vector<std::future<SqlReply>> many;
  for (int i = 0; i < 50; ++i) many.push_back(fixture.start(fixture.executor->run(request("select 1"))));
  for (auto& one : many) EXPECT_TRUE(fixture.wait(std::move(one)));
}

TEST(LibpqExecutor, what_is_answered_is_true_whatever_the_network_does) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto& server = PostgresServer::shared();
  server.sql("create table if not exists answers (id int)");
  TcpProxy proxy(server.port());
  constexpr std::size_t kConnections = 3;
  Fixture fixture(config_for(url_of(proxy) + "?connect_timeout=1", kConnections));
  constexpr std::size_t kBesideMischief = 1500, kRequests = kBesideMischief + 10;
  std::vector<std::future<SqlReply>> all;
  const auto send = [&](milliseconds within) {
    const auto i = all.size();
    SqlRequest one = confirmed("insert into answers select generate_series($1::int, $1::int)", within);
    one.statements[0].parameters = {std::to_string(i)};
    one.confirm = i % 2 == 0;
    all.push_back(fixture.start(fixture.executor->run(std::move(one))));
  };
  while (all.size() < kBesideMischief) {
    send(milliseconds(200 + random() % 2000));
    if (all.size() % 10 != 1) continue;
    fixture.io.restart();
    fixture.io.run_for(milliseconds(random() % 20));  // the mischief may come at any moment
    const auto flow = [&] { return static_cast<test::Flow>(random() % 3); };
    switch (random() % 10) {
      case 0: proxy.cut(); break;
      case 1: proxy.cut_after_bytes_to_server(random() % 2000); break;
      case 2: proxy.set_to_client(flow()); break;
      case 3: proxy.set_to_server(flow()); break;
      default: proxy.set_to_client(test::Flow::kPass); proxy.set_to_server(test::Flow::kPass);
    }
  }
  proxy.set_to_client(test::Flow::kPass);
  proxy.set_to_server(test::Flow::kPass);
  std::map<SqlErrorKind, int> errors;
  int answered = 0;
  std::size_t lost_at_the_end = 0;
  SqlSession observer(server.url());
  for (std::size_t i = 0; i < kRequests; ++i) {
    // The network works again. The last ones go out one by one: a connection of which bytes were dropped loses one
    // more.
    if (i == all.size()) send(60s);
    const auto reply = fixture.wait(std::move(all[i]));
    const auto count = observer.exec("select count(*) from answers where id = " + std::to_string(i));
    if (reply) {
      ++answered;
      EXPECT_EQ(count, "1") << i;
      continue;
    }
    const auto& error = reply.error();
    ++errors[error.kind];
    if (i >= kBesideMischief) {
      ++lost_at_the_end;
      EXPECT_EQ(error.kind, SqlErrorKind::kLost) << error.message;
    }
    EXPECT_NE(error.kind, SqlErrorKind::kServer) << error.message;
    if (error.kind == SqlErrorKind::kNotSent) {
      EXPECT_EQ(count, "0") << i << " " << error.message;
    }
  }
  EXPECT_LE(lost_at_the_end, kConnections);
  std::cout << answered << " answered, " << errors[SqlErrorKind::kLost] << " lost, " << errors[SqlErrorKind::kNotSent]
            << " not sent\n";
  EXPECT_TRUE(test::eventually([&] {
    const auto alive = fixture.wait(fixture.executor->lost_sessions_alive(in(5s)));
    return alive && !*alive;
  }));
}

// Order.

TEST(LibpqExecutor, waiting_requests_go_out_by_priority) {
  auto& server = PostgresServer::shared();
  server.sql("create table if not exists turns (id serial, what text)");
  Fixture fixture(config_for(server.url(), 1));
  std::vector<std::future<SqlReply>> all;
  const auto start = [&](std::string_view text, SqlPriority priority) {
    all.push_back(fixture.start(fixture.executor->run(request(text, priority))));
  };
  Barrier barrier(server);
  start(Barrier::kWait, SqlPriority::kBackground);
  ASSERT_TRUE(fixture.work_until_active(server, Barrier::kWait));
  start("insert into turns (what) values ('background')", SqlPriority::kBackground);
  start("insert into turns (what) values ('poll')", SqlPriority::kPoll);
  start("insert into turns (what) values ('claim')", SqlPriority::kClaim);
  start("insert into turns (what) values ('release')", SqlPriority::kRelease);
  start("insert into turns (what) values ('record')", SqlPriority::kRecord);
  start("insert into turns (what) values ('heartbeat')", SqlPriority::kHeartbeat);
  ASSERT_TRUE(fixture.work_until_waiting(6));
  barrier.open();
  for (auto& one : all) EXPECT_TRUE(fixture.wait(std::move(one)));
  EXPECT_EQ(server.sql("select string_agg(what, ' ' order by id) from turns"),
            "heartbeat record release claim poll background");
}

TEST(LibpqExecutor, a_record_does_not_wait_for_claims) {
  auto& server = PostgresServer::shared();
  Barrier barrier(server);
  Fixture fixture(config_for(server.url(), 2));
  EXPECT_EQ(fixture.executor->parallel_requests(), 1u);
  std::vector<std::future<SqlReply>> claims;
  for (int i = 0; i < 2; ++i) {
    claims.push_back(fixture.start(fixture.executor->run(request(Barrier::kWait, SqlPriority::kClaim, 60s))));
  }
  ASSERT_TRUE(fixture.work_until_active(server, Barrier::kWait));
  EXPECT_TRUE(fixture.run(confirmed("select 1")));
  for (auto& claim : claims) EXPECT_NE(claim.wait_for(0s), std::future_status::ready);
  fixture.wait(fixture.executor->close());
  for (auto& claim : claims) EXPECT_FALSE(fixture.wait(std::move(claim)));
}

TEST(LibpqExecutor, many_requests_share_few_connections) {
  auto& server = PostgresServer::shared();
  Fixture fixture(config_for(server.url() + "?application_name=few", 3));
  std::vector<std::future<SqlReply>> all;
  for (int i = 0; i < 2000; ++i) {
    SqlRequest one = i % 2 == 0 ? request("select $1::int", SqlPriority::kClaim) : confirmed("select $1::int");
    one.statements[0].parameters = {std::to_string(i)};
    all.push_back(fixture.start(fixture.executor->run(std::move(one))));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto reply = fixture.wait(std::move(all[i]));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->at(0).rows[0][0], std::to_string(i));
  }
  EXPECT_EQ(server.sql("select count(*) <= 3 from pg_stat_activity where application_name = 'few'"), "t");
}

TEST(LibpqExecutor, idle_connections_are_closed) {
  auto& server = PostgresServer::shared();
  auto config = config_for(server.url() + "?application_name=idle");
  config.idle_timeout = 100ms;
  Fixture fixture(config);
  ASSERT_EQ(fixture.value("select 1"), "1");
  EXPECT_TRUE(fixture.work_until(
      [&] { return server.sql("select count(*) from pg_stat_activity where application_name = 'idle'") == "0"; }));
  EXPECT_EQ(fixture.value("select 1"), "1");
}

TEST(LibpqExecutor, a_wait_for_a_connection_is_bounded_by_the_connection_timeout) {
  auto& server = PostgresServer::shared();
  Barrier barrier(server);
  auto config = config_for(server.url(), 1);
  config.connection_timeout = 100ms;
  Fixture fixture(config);
  ASSERT_TRUE(test::eventually([&] { return fixture.value("select 1") == "1"; }))
      << "opening may take longer than that";
  auto first = fixture.start(fixture.executor->run(request(Barrier::kWait)));
  ASSERT_TRUE(fixture.work_until_active(server, Barrier::kWait));
  const auto reply = fixture.run(request("select 1"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kNotSent);
  barrier.open();
  EXPECT_TRUE(fixture.wait(std::move(first)));
}

TEST(LibpqExecutor, closing_ends_everything_at_once) {
  auto& server = PostgresServer::shared();
  Fixture fixture(config_for(server.url(), 1));
  auto in_flight = fixture.start(fixture.executor->run(request("select pg_sleep(61)", SqlPriority::kClaim, 60s)));
  auto waiting = fixture.start(fixture.executor->run(request("select 1", SqlPriority::kClaim, 60s)));
  ASSERT_TRUE(fixture.work_until_active(server, "select pg_sleep(61)"));
  const auto begin = std::chrono::steady_clock::now();
  fixture.wait(fixture.executor->close());
  EXPECT_EQ(fixture.wait(std::move(in_flight)).error().kind, SqlErrorKind::kLost);
  EXPECT_EQ(fixture.wait(std::move(waiting)).error().kind, SqlErrorKind::kNotSent);
  EXPECT_EQ(fixture.run(request("select 1")).error().kind, SqlErrorKind::kNotSent);
  fixture.wait(fixture.executor->close());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST(LibpqExecutor, closing_ends_an_attempt_to_connect) {
  TcpProxy silent(PostgresServer::shared().port());
  silent.accept_and_stay_silent();
  Fixture fixture(config_for(url_of(silent)));
  auto never = fixture.start(fixture.executor->run(request("select 1", SqlPriority::kClaim, 60s)));
  ASSERT_TRUE(fixture.work_until([&] { return silent.accepted() > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  fixture.wait(fixture.executor->close());
  EXPECT_EQ(fixture.wait(std::move(never)).error().kind, SqlErrorKind::kNotSent);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST(LibpqExecutor, may_be_dropped_without_being_closed) {
  asio::io_context io;
  PoolConfig config = config_for(PostgresServer::shared().url() + "?application_name=dropped");
  auto executor = *LibpqExecutor::create(io.get_executor(), config);
  auto running = asio::co_spawn(io, executor->run(request("select pg_sleep(62)")), asio::use_future);
  SqlSession observer(PostgresServer::shared().url());
  ASSERT_TRUE(test::eventually([&] {
    io.restart();
    io.run_one_for(5ms);
    return observer.exec(
               "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(62)'") == "1";
  }));
  executor.reset();
  io.restart();
  io.run();
  EXPECT_EQ(running.get().error().kind, SqlErrorKind::kLost);
}

// The session.

TEST(LibpqExecutor, settings_of_the_role_and_the_database_are_overruled) {
  auto& server = PostgresServer::shared();
  const auto database = server.create_database();
  server.sql(
      "create role odd login; alter role odd set timezone = 'Asia/Tokyo'; alter role odd set statement_timeout = "
      "'1ms'; "
      "alter role odd set lock_timeout = '1ms'; alter role odd set datestyle = 'German'; "
      "alter role odd set idle_session_timeout = '5s'; "
      "alter role odd set default_transaction_isolation = 'serializable'; alter role odd set client_min_messages = "
      "'error'; "
      "alter role odd set standard_conforming_strings = off; alter database " +
      database +
      " set jit = on; "
      "alter database " +
      database + " set plan_cache_mode = force_custom_plan");
  Fixture fixture(config_for(server.url(database, "odd")));
  EXPECT_EQ(fixture.value("select current_setting('timezone')"), "UTC");
  EXPECT_EQ(fixture.value("select current_setting('transaction_isolation')"), "read committed");
  EXPECT_EQ(fixture.value("select current_setting('statement_timeout')"), "10s");
  EXPECT_EQ(fixture.value("select current_setting('lock_timeout')"), "200ms");
  EXPECT_EQ(fixture.value("select current_setting('datestyle')"), "ISO, YMD");
  EXPECT_EQ(fixture.value("select current_setting('client_min_messages')"), "warning");
  EXPECT_EQ(fixture.value("select current_setting('standard_conforming_strings')"), "on");
  EXPECT_EQ(fixture.value("select current_setting('jit')"), "off");
  EXPECT_EQ(fixture.value("select current_setting('plan_cache_mode')"), "force_generic_plan");
  EXPECT_EQ(fixture.value("select current_setting('idle_in_transaction_session_timeout')"), "10s");
  EXPECT_EQ(fixture.value("select current_setting('idle_session_timeout')"), "0");
  EXPECT_EQ(fixture.value("select current_setting('tcp_user_timeout')"), "10000");
  EXPECT_EQ(fixture.value("select current_setting('tcp_keepalives_idle')"), "10");
  EXPECT_EQ(fixture.value("select current_setting('enable_seqscan')"), "off");
  EXPECT_EQ(fixture.value("select current_setting('client_encoding')"), "UTF8");
  const auto vital =
      fixture.run(confirmed("select current_setting('statement_timeout'), current_setting('lock_timeout')"));
  ASSERT_TRUE(vital);
  EXPECT_EQ(vital->at(0).rows[0], (std::vector<std::optional<std::string>>{"0", "2s"}));
  EXPECT_EQ(fixture.value("select current_setting('statement_timeout')"), "10s");
}

TEST(LibpqExecutor, the_server_gives_up_a_general_statement_before_this_side_does) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  const auto reply = fixture.run(request("select pg_sleep(30)", SqlPriority::kClaim, 2s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kServer);
  EXPECT_EQ(reply.error().sqlstate, "57014");
}

TEST(LibpqExecutor, the_session_check_refuses_a_database) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  std::string wanted = "another";
  SessionCheck check;
  check.statement = [] { return SqlStatement{"select current_database()", {}}; };
  check.judge = [&](const SqlRows& rows) -> SessionVerdict {
    if (rows.rows.at(0).at(0) == wanted) return {};
    return {.refusal = "this is database " + rows.rows.at(0).at(0).value() + ", not " + wanted};
  };
  fixture.executor->set_session_check(check);
  const auto error = first_error(fixture);
  EXPECT_EQ(error.kind, SqlErrorKind::kIncompatible);
  EXPECT_EQ(error.message, "this is database postgres, not another");
  // Once started it is tried again, for what was wrong may be put right.
  const auto reply = fixture.run(request("select 1", SqlPriority::kClaim, 300ms));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kIncompatible);
  EXPECT_THAT(reply.error().message, HasSubstr("not another"));
  wanted = "postgres";
  EXPECT_EQ(fixture.value("select 1"), "1");
}

TEST(LibpqExecutor,
     a_check_that_the_server_will_never_answer_refuses_at_once_and_one_that_it_may_answer_is_asked_again) {
  const auto raise = [](const std::string& sqlstate) {
    return "do $$ begin raise exception 'not this' using errcode = '" + sqlstate + "'; end $$";
  };
  for (const auto* sqlstate : {"55000", "0A000", "42501", "42883"}) {
    Fixture fixture(config_for(PostgresServer::shared().url()));
    const std::string text = raise(sqlstate);
    fixture.executor->set_session_check({.statement =
                                             [&] {
                                               return SqlStatement{text, {}};
                                             },
                                         .judge = [](const SqlRows&) { return SessionVerdict{}; }});
    const auto error = first_error(fixture);
    EXPECT_EQ(error.kind, SqlErrorKind::kIncompatible) << sqlstate;
    EXPECT_THAT(error.message, HasSubstr("not this")) << sqlstate;
  }
  for (const auto* sqlstate : {"57P03", "53300", "55P03", "40001", "XX000"}) {
    Fixture fixture(config_for(PostgresServer::shared().url()));
    const std::string text = raise(sqlstate);
    int asked = 0;
    fixture.executor->set_session_check(
        {.statement =
             [&] {
               return SqlStatement{++asked <= 2 ? std::string_view(text) : "select 1", {}};
             },
         .judge = [](const SqlRows&) { return SessionVerdict{}; }});
    EXPECT_EQ(fixture.value("select 1"), "1") << sqlstate;
    EXPECT_EQ(asked, 3) << sqlstate;
  }
}

/// A check that refuses what it is told to refuse.
struct Changing {
  explicit Changing(LibpqExecutor& executor) {
    executor.set_session_check({.statement =
                                    [] {
                                      return SqlStatement{"select pg_backend_pid()", {}};
                                    },
                                .judge =
                                    [this](const SqlRows&) {
                                      ++asked;
                                      return std::exchange(verdict, SessionVerdict{});
                                    }});
  }
  int asked = 0;
  SessionVerdict verdict;  ///< on the next session that is asked
};

TEST(LibpqExecutor, a_session_that_was_checked_lately_serves_claims_without_a_check) {
  PoolConfig config = config_for(PostgresServer::shared().url(), 2);
  config.check_holds = std::chrono::hours(1);
  Fixture fixture(config);
  Changing check(*fixture.executor);
  ASSERT_TRUE(fixture.run(request("select 1", SqlPriority::kClaim)));
  ASSERT_TRUE(fixture.run(request("select 1", SqlPriority::kClaim)));
  EXPECT_EQ(check.asked, 1);
}

TEST(LibpqExecutor, a_session_is_checked_again_before_it_serves_a_claim_if_it_was_not_lately) {
  PoolConfig config = config_for(PostgresServer::shared().url(), 2);
  config.check_holds = 0ms;
  Fixture fixture(config);
  Changing check(*fixture.executor);
  const auto first = fixture.run(request("select pg_backend_pid()", SqlPriority::kPoll));
  ASSERT_TRUE(first);
  ASSERT_TRUE(fixture.run(request("select 1", SqlPriority::kPoll)));
  EXPECT_EQ(check.asked, 1) << "a look needs no check";
  ASSERT_TRUE(fixture.run(request("select 1", SqlPriority::kClaim)));
  EXPECT_EQ(check.asked, 2);
  check.verdict.refusal = "not this one any more";
  const auto other = fixture.run(request("select pg_backend_pid()", SqlPriority::kClaim));
  ASSERT_TRUE(other);
  EXPECT_NE(other->at(0).rows, first->at(0).rows) << "a session that was refused serves no request";
}

TEST(LibpqExecutor, a_session_that_outdates_the_others_ends_them_and_their_answers) {
  auto& server = PostgresServer::shared();
  PoolConfig config = config_for(server.url());
  config.check_holds = 0ms;
  Fixture fixture(config);
  Changing check(*fixture.executor);
  std::vector<std::string> sessions;
  {
    Barrier barrier(server);
    std::vector<std::future<SqlReply>> all;
    for (int i = 0; i < 3; ++i) all.push_back(fixture.start(fixture.executor->run(request(Barrier::kWait))));
    ASSERT_TRUE(fixture.work_until_active(server, Barrier::kWait, 3));
    barrier.open();
    for (auto& one : all) {
      const auto reply = fixture.wait(std::move(one));
      ASSERT_TRUE(reply) << reply.error().message;
      sessions.push_back(reply->at(0).rows.at(0).at(0).value());
    }
  }
  // One of the three is busy, one serves the claim that brings the news, one is idle.
  Barrier barrier(server);
  auto under_way = fixture.start(fixture.executor->run(request(Barrier::kWait, SqlPriority::kRecord)));
  ASSERT_TRUE(fixture.work_until_active(server, Barrier::kWait));
  check.verdict.outdates_others = true;
  const auto claimed = fixture.run(request("select pg_backend_pid()", SqlPriority::kClaim));
  ASSERT_TRUE(claimed);
  const auto left = claimed->at(0).rows.at(0).at(0).value();
  EXPECT_THAT(sessions, testing::Contains(left));
  barrier.open();
  const auto lost = fixture.wait(std::move(under_way));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, SqlErrorKind::kLost);
  SqlSession person(server.url());
  for (const auto& pid : sessions) {
    const std::string count = pid == left ? "1" : "0";
    EXPECT_TRUE(test::eventually(
        [&] { return person.exec("select count(*) from pg_stat_activity where pid = " + pid) == count; }));
  }
  EXPECT_EQ(fixture.value("select pg_backend_pid()"), left);
}

TEST(LibpqExecutor, a_request_that_was_asked_in_another_history_is_not_sent_and_not_kept) {
  PoolConfig config = config_for(PostgresServer::shared().url(), 2);
  config.check_holds = 0ms;
  Fixture fixture(config);
  Changing check(*fixture.executor);
  ASSERT_TRUE(fixture.run(request("create table asked_elsewhere (n int)")));
  auto may_be_sent = [&check, asked = check.asked] { return check.asked == asked; };
  auto claim = request("insert into asked_elsewhere values (1)", SqlPriority::kClaim);
  claim.may_be_sent = may_be_sent;
  const auto refused = fixture.run(std::move(claim));
  ASSERT_FALSE(refused) << "the session was checked again before it would have served the claim";
  EXPECT_EQ(refused.error().kind, SqlErrorKind::kNotSent);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("ask again"));
  EXPECT_EQ(fixture.value("select count(*) from asked_elsewhere"), "0");
  auto record = request("insert into asked_elsewhere values (1)", SqlPriority::kRecord);
  record.may_be_sent = [&check, asked = check.asked] { return check.asked == asked; };
  EXPECT_TRUE(fixture.run(std::move(record)));
  EXPECT_EQ(fixture.value("select count(*) from asked_elsewhere"), "1");
  EXPECT_TRUE(fixture.run(request("drop table asked_elsewhere")));
}

TEST(LibpqExecutor, nothing_is_left_in_a_transaction) {
  Fixture fixture(config_for(PostgresServer::shared().url(), 1));
  const auto before = fixture.value("select pg_backend_pid()");
  (void)fixture.run(request("begin"));
  EXPECT_NE(fixture.value("select pg_backend_pid()"), before);
}

TEST(LibpqExecutor, of_several_servers_the_one_that_takes_writes_is_used) {
  PostgresServer primary;
  PostgresServer standby(primary, "standby");
  TcpProxy silent(primary.port());
  silent.accept_and_stay_silent();
  const auto host = [](std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); };
  Fixture fixture(config_for("postgresql://postgres@" + host(test::free_port()) + "," + host(silent.port()) + "," +
                             host(standby.port()) + "," + host(primary.port()) + "/postgres?connect_timeout=1"));
  EXPECT_EQ(fixture.value("select current_setting('port')"), std::to_string(primary.port()));
  // The standby is to serve instead of the primary, of which a process may still answer for a moment.
  primary.kill();
  ASSERT_TRUE(
      test::eventually([&] { return !fixture.run(request("select 1", SqlPriority::kClaim, milliseconds(100))); }));
  auto waiting =
      fixture.start(fixture.executor->run(request("select current_setting('port')", SqlPriority::kClaim, 20s)));
  ASSERT_TRUE(fixture.work_until_waiting(1));
  standby.promote();
  const auto reply = fixture.wait(std::move(waiting));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->at(0).rows[0][0], std::to_string(standby.port()));
}

// Statements.

TEST(LibpqExecutor, a_prepared_statement_that_is_gone_is_prepared_again) {
  Fixture fixture(config_for(PostgresServer::shared().url(), 1));
  EXPECT_EQ(fixture.value("select 'again'"), "again");
  EXPECT_TRUE(fixture.run(request("deallocate all")));
  EXPECT_EQ(fixture.value("select 'again'"), "again");
  EXPECT_TRUE(fixture.run(request("deallocate all")));
  SqlRequest two = request("select 'one'");
  two.statements.push_back({"select 'again'", {}});
  const auto reply = fixture.run(std::move(two));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->at(1).rows[0][0], "again");
}

TEST(LibpqExecutor, a_statement_that_another_client_of_the_session_prepared_is_used) {
  constexpr std::string_view kText = "select 'forty-two'";
  Fixture first(config_for(PostgresServer::shared().url(), 1));
  EXPECT_EQ(first.value(kText), "forty-two");
  const auto name = first.value("select name from pg_prepared_statements where statement = $$select 'forty-two'$$");
  EXPECT_THAT(name, testing::MatchesRegex("hs_[0-9a-f]*"));
  Fixture second(config_for(PostgresServer::shared().url(), 1));
  const std::string prepare = "prepare " + name + " as " + std::string(kText);
  EXPECT_TRUE(second.run(request(prepare)));
  EXPECT_EQ(second.value(kText), "forty-two");
}

TEST(LibpqExecutor, a_statement_over_a_changed_table_is_prepared_again) {
  auto& server = PostgresServer::shared();
  server.sql("create table changing (a int)");
  server.sql("insert into changing values (1)");
  Fixture fixture(config_for(server.url(), 1));
  EXPECT_EQ(fixture.run(request("select * from changing"))->at(0).rows[0].size(), 1u);
  server.sql("alter table changing add b int");
  const auto reply = fixture.run(request("select * from changing"));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->at(0).rows[0].size(), 2u);
}

TEST(LibpqExecutor, requests_larger_than_every_buffer_get_through) {
  Fixture fixture(config_for(PostgresServer::shared().url(), 1));
  const std::string large(20'000'000, 'x');
  SqlRequest one = request("select $1::text");
  one.statements[0].parameters = {large};
  one.statements.push_back({"select length($1)", {large}});
  one.statements.push_back({"select repeat('y', 20000000)", {}});
  const auto reply = fixture.run(std::move(one));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->at(0).rows[0][0], large);
  EXPECT_EQ(reply->at(1).rows[0][0], "20000000");
  EXPECT_EQ(reply->at(2).rows[0][0]->size(), large.size());
}

TEST(LibpqExecutor, the_end_of_a_statement_never_goes_out_without_its_sync) {
  constexpr std::string_view kText = "select length($1)";
  constexpr std::size_t kName = 19;
  constexpr std::size_t kSync = 5;
  TcpProxy proxy(PostgresServer::shared().port());
  Fixture fixture(config_for(url_of(proxy) + "?sslmode=disable", 1));
  const auto bytes_for = [&](const std::string& parameter) {
    const auto before = proxy.bytes_to_server();
    SqlRequest one = request(kText, SqlPriority::kBackground, 20s);
    one.statements[0].parameters = {parameter};
    const auto reply = fixture.run(std::move(one));
    EXPECT_TRUE(reply && reply->at(0).rows[0][0] == std::to_string(parameter.size()));
    return proxy.bytes_to_server() - before;
  };
  ASSERT_EQ(fixture.value("select 1"), "1");
  const SqlStatement empty{kText, {""}};
  EXPECT_EQ(bytes_for(""), bytes_of_parse(empty, kName) + bytes_until_sync(empty, kName) + kSync);
  EXPECT_EQ(bytes_for(""), bytes_until_sync(empty, kName) + kSync);
  // Whether Execute would be the last message of a block decides about five bytes more.
  const std::size_t fits = 3 * kLibpqBlock - bytes_until_sync(empty, kName);
  EXPECT_EQ(bytes_for(std::string(fits - 1, 'x')), 3 * kLibpqBlock - 1 + kSync);
  EXPECT_EQ(bytes_for(std::string(fits, 'x')), 3 * kLibpqBlock + 5 + kSync);
  EXPECT_EQ(bytes_for(std::string(fits + 1, 'x')), 3 * kLibpqBlock + 1 + kSync);
}

TEST(LibpqExecutor, a_parameter_with_a_nul_byte_is_refused) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  SqlRequest one = request("select length($1)");
  one.statements[0].parameters = {std::string("a\0b", 3)};
  EXPECT_EQ(fixture.run(std::move(one)).error().sqlstate, "22021");
}

TEST(LibpqExecutor, the_first_error_of_a_request_is_its_answer_and_the_others_are_executed) {
  auto& server = PostgresServer::shared();
  server.sql("create table if not exists parts (value int)");
  Fixture fixture(config_for(server.url()));
  SqlRequest three = request("insert into parts values (1)");
  three.statements.push_back({"insert into parts values (1 / 0)", {}});
  three.statements.push_back({"insert into parts values (3)", {}});
  const auto reply = fixture.run(std::move(three));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().sqlstate, "22012");
  EXPECT_EQ(server.sql("select string_agg(value::text, ' ' order by value) from parts"), "1 3");
}

/// A primary whose commits wait for a standby.
struct Replicated {
  Replicated() {
    primary.sql("create table replicated (value int)");
    primary.set_synchronous_standby("standby");
  }

  /// Runs a confirmed insert until it waits for the standby, which stands still.
  std::future<SqlReply> insert_until_it_waits(Fixture& fixture) {
    standby.freeze();
    auto waiting = fixture.start(fixture.executor->run(confirmed("insert into replicated values (2)")));
    EXPECT_TRUE(fixture.work_until(
        [&] { return primary.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == "1"; }));
    return waiting;
  }

  PostgresServer primary;
  PostgresServer standby{primary, "standby"};
};

TEST(LibpqExecutor, a_cancelled_wait_for_synchronous_replication_is_not_a_confirmation) {
  Replicated replicated;
  Fixture fixture(config_for(replicated.primary.url()));
  ASSERT_TRUE(fixture.run(confirmed("insert into replicated values (1)")));
  auto waiting = replicated.insert_until_it_waits(fixture);
  replicated.primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto reply = fixture.wait(std::move(waiting));
  ASSERT_FALSE(reply) << "the row is not on the standby";
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_THAT(reply.error().message, HasSubstr("synchronous replication"));
  EXPECT_EQ(replicated.primary.sql("select count(*) from replicated where value = 2"), "1");
  replicated.standby.thaw();
  EXPECT_TRUE(fixture.run(confirmed("insert into replicated values (3)")));
}

TEST(LibpqExecutor, a_session_that_is_ended_while_it_waits_for_replication_is_not_a_confirmation) {
  Replicated replicated;
  Fixture fixture(config_for(replicated.primary.url()));
  auto waiting = replicated.insert_until_it_waits(fixture);
  replicated.primary.sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto reply = fixture.wait(std::move(waiting));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  replicated.standby.thaw();
}

}  // namespace
}  // namespace hasigner::postgres
