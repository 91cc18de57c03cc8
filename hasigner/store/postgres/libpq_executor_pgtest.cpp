#include "hasigner/store/postgres/libpq_executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/support/postgres_server.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace hasigner::postgres {
namespace {

using namespace std::chrono_literals;
using test::PostgresServer;
using test::SqlSession;
using test::TcpProxy;
using testing::HasSubstr;

MonotonicTime in(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

SqlJob job(std::string_view text, SqlPriority priority = SqlPriority::kBackground, milliseconds time = 10s) {
  SqlJob one{{}, priority, false, in(time)};
  one.statements.push_back({text, {}});
  return one;
}

SqlJob confirmed(std::string_view text, milliseconds time = 10s) {
  SqlJob one = job(text, SqlPriority::kRecord, time);
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

  SqlReply run(SqlJob one) { return wait(executor->run(std::move(one))); }

  /// The first column of the first row.
  std::string value(std::string_view text) {
    const auto reply = run(job(text));
    if (!reply) return "error: " + reply.error().message;
    return reply->at(0).rows.at(0).at(0).value_or("null");
  }

  asio::io_context io;
  std::shared_ptr<LibpqExecutor> executor;
};

PoolConfig config_for(std::string url, std::size_t max = 4) {
  return PoolConfig{.url = std::move(url), .max = max};
}

TEST(LibpqExecutor, gives_the_rows_of_each_statement) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  SqlJob two = job("select $1::text, null, 'ä'");
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
  const auto reply = fixture.run(job("select 1 / 0"));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kServer);
  EXPECT_EQ(reply.error().sqlstate, "22012");
  EXPECT_EQ(fixture.value("select pg_backend_pid()"), before);
}

TEST(LibpqExecutor, a_warning_is_no_confirmation) {
  Fixture fixture(config_for(PostgresServer::shared().url()));
  constexpr std::string_view kWarns = "do $$ begin raise warning 'half done'; end $$";
  EXPECT_TRUE(fixture.run(job(kWarns)));
  const auto reply = fixture.run(confirmed(kWarns));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, SqlErrorKind::kLost);
  EXPECT_THAT(reply.error().message, HasSubstr("half done"));
  EXPECT_TRUE(fixture.run(confirmed("select 1")));
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

}  // namespace
}  // namespace hasigner::postgres
