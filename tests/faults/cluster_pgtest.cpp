// Whole signers on a real PostgreSQL that is restarted, killed, cut off and crowded, and what must hold all the same.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace hasigner {
namespace {

using std::chrono::steady_clock;
using test::PostgresServer;
using test::StopMode;

EthAddress address(std::uint8_t group, std::uint32_t number) {
  EthAddress a;
  a.bytes().fill(group);
  a.bytes()[19] = static_cast<std::uint8_t>(number);
  a.bytes()[18] = static_cast<std::uint8_t>(number >> 8);
  return a;
}

SignRequest request(std::uint32_t number, std::uint8_t data) {
  MessageHash hash;
  hash.bytes().fill(data);
  return {.validator = address(0xbb, number),
          .message_hash = hash,
          .context = {.duty_type = DutyType::kAttestation,
                      .slot = *Slot::from(1000 + number),
                      .block_number = {},
                      .checkpoint_number = {},
                      .block_index = {}}};
}

/// A signature that shows what it signs.
Signature signature_of(const MessageHash& hash) {
  Signature s;
  std::ranges::copy(hash.bytes(), s.bytes().begin());
  s.bytes()[64] = 27;
  return s;
}

std::string database(PostgresServer& server) {
  const auto name = server.create_database();
  auto migrator = postgres::Migrator::create(server.url(name));
  const auto report = migrator->up({.to = 3});
  EXPECT_TRUE(report.has_value());
  return name;
}

std::unique_ptr<HaNode> start_node(const std::string& url, const std::string& id, HaSignerParts parts = {}) {
  HaSignerConfig config{.signer = {.node_id = *NodeId::parse(id), .rollup = address(0xaa, 1)},
                        .database_url = url,
                        .pool = {},
                        .allow_ephemeral = false};
  auto node = create_ha_signer(config, std::move(parts));
  const auto started = node->signer().start_blocking();
  EXPECT_TRUE(started) << message(started.error());
  return node;
}

/// Counts how often a node has looked at duties that it waits for.
struct CountLooks final : Metrics {
  void batch_sent(std::string_view kind, std::size_t) override { looks += kind == "look" ? 1 : 0; }
  std::atomic<int> looks = 0;
};

SignFunction signs(HaNode& node) {
  return node.blocking([](const SignRequest& r) -> SignOutcome {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // as long as signing takes
    return signature_of(r.message_hash);
  });
}

/// Counts messages per duty, of all nodes.
struct Released {
  std::map<std::uint32_t, std::set<Signature>> messages;
  int signed_here = 0, refused = 0;
  std::vector<std::string> failures;

  void add(std::uint32_t number, const SignResult<SignedDuty>& result) {
    if (result) {
      messages[number].insert(*result);
      ++signed_here;
      return;
    }
    if (const auto* already = std::get_if<DutyAlreadySigned>(&result.error())) {
      ++refused;
      if (already->signature) messages[number].insert(*already->signature);
    } else if (std::holds_alternative<SlashingProtection>(result.error()) ||
               std::holds_alternative<SigningLockLost>(result.error())) {
      // Lost to the other node's data: before it signed, or after an outage longer than the lease.
      ++refused;
    } else {
      failures.push_back(message(result.error()));
    }
  }
};

constexpr std::uint32_t kDuties = 1'500;

/// Until so many of a hundred duties of the race are signed.
void wait_until_signed(const PostgresServer& server, const std::string& name, std::uint32_t percent) {
  test::SqlSession observer(server.url(name));
  const auto end = steady_clock::now() + std::chrono::minutes(1);
  const std::string question = "select count(*) >= " + std::to_string(kDuties * percent / 100) +
                               " from validator_duties where status = 'signed'";
  while (observer.exec(question) != "t") {
    if (steady_clock::now() > end) throw std::runtime_error("the race does not get on");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Both nodes want the same duties, every other one with different data, while the server suffers.
void race_while(PostgresServer& server, const std::string& name, const std::function<void()>& suffer) {
  constexpr std::uint32_t kWave = 50;
  Released released[2];
  std::vector<std::thread> threads;
  for (const int n : {0, 1}) {
    threads.emplace_back([&, n] {
      auto node = start_node(server.url(name), "node-" + std::to_string(n));
      for (std::uint32_t first = 0; first < kDuties; first += kWave) {
        std::vector<SignCall> sign_calls;
        for (std::uint32_t i = first; i < first + kWave; ++i) {
          sign_calls.push_back({request(i, static_cast<std::uint8_t>(i % 2 == 0 ? 1 : 1 + n)), signs(*node)});
        }
        const auto results = node->signer().sign_many_blocking(std::move(sign_calls));
        for (std::uint32_t i = 0; i < kWave; ++i) released[n].add(first + i, results[i]);
      }
      node->stop();
    });
  }
  suffer();
  for (auto& thread : threads) thread.join();

  std::map<std::uint32_t, std::set<Signature>> messages = released[0].messages;
  for (const auto& [number, of_other] : released[1].messages) messages[number].insert(of_other.begin(), of_other.end());
  EXPECT_EQ(messages.size(), kDuties) << "a duty was missed";
  for (const auto& [number, signatures] : messages)
    EXPECT_EQ(signatures.size(), 1) << "two messages for duty " << number;
  for (const auto& r : released) {
    EXPECT_TRUE(r.failures.empty()) << r.failures.size() << " attempts failed, the first: " << r.failures.front();
  }
  EXPECT_EQ(released[0].signed_here + released[1].signed_here + released[0].refused + released[1].refused,
            2 * static_cast<int>(kDuties));
  EXPECT_EQ(server.sql("select count(*) from validator_duties where status = 'signing'", name), "0")
      << "a row stayed stuck";
  EXPECT_EQ(server.sql("select count(*) from validator_duties where status = 'signed'", name), std::to_string(kDuties));
}

TEST(ClusterOnPostgres, restarts_of_the_server_under_load_cost_time_only) {
  PostgresServer server({.fsync = true});
  const auto name = database(server);
  race_while(server, name, [&] {
    std::uint32_t percent = 0;
    for (const auto mode : {StopMode::kFast, StopMode::kImmediate, StopMode::kFast, StopMode::kImmediate}) {
      wait_until_signed(server, name, percent += 20);
      server.restart(mode);
    }
  });
}

TEST(ClusterOnPostgres, a_server_that_loses_its_power_under_load_costs_time_only) {
  PostgresServer server({.fsync = true});
  const auto name = database(server);
  race_while(server, name, [&] {
    for (const std::uint32_t percent : {25U, 50U, 75U}) {
      wait_until_signed(server, name, percent);
      server.kill();
      server.start();
    }
  });
}

TEST(ClusterOnPostgres, sessions_ended_by_the_server_are_replaced) {
  PostgresServer server;
  const auto name = database(server);
  race_while(server, name, [&] {
    for (std::uint32_t percent = 5; percent < 100; percent += 10) {
      wait_until_signed(server, name, percent);
      server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name +
                 "' and pid <> pg_backend_pid()");
    }
  });
}

TEST(ClusterOnPostgres, attempts_wait_for_a_connection_when_the_server_has_none) {
  PostgresServer server({.settings = {"max_connections = 8", "superuser_reserved_connections = 0"}});
  const auto name = database(server);
  auto node = start_node(server.url(name), "a");
  std::vector<std::unique_ptr<test::SqlSession>> crowd;
  try {
    for (int i = 0; i < 20; ++i) crowd.push_back(std::make_unique<test::SqlSession>(server.url(name)));
  } catch (const std::runtime_error&) {
    // Full now, which is what is wanted.
  }
  ASSERT_LT(crowd.size(), 20);
  const auto refused_connections = [&] {
    const std::string log = server.log();
    int count = 0;
    for (auto at = log.find("too many clients"); at != std::string::npos; at = log.find("too many clients", at + 1))
      ++count;
    return count;
  };
  const int others = refused_connections();
  std::thread leaves([&] {
    EXPECT_TRUE(test::eventually([&] { return refused_connections() > others; }))
        << "the node has asked for no connection";
    crowd.clear();
  });
  // The node has a connection or two since its start, so it may need no more for the first of them.
  for (std::uint32_t wave = 0; wave == 0 || (wave < 30 && refused_connections() == others); ++wave) {
    std::vector<SignCall> calls;
    for (std::uint32_t i = 0; i < 300; ++i) calls.push_back({request(300 * wave + i, 1), signs(*node)});
    const auto results = node->signer().sign_many_blocking(std::move(calls));
    for (const auto& result : results) EXPECT_TRUE(result) << message(result.error());
  }
  leaves.join();
}

TEST(ClusterOnPostgres, lost_replies_and_cut_connections_lose_nothing) {
  PostgresServer server;
  const auto name = database(server);
  test::TcpProxy proxy(server.port());
  auto url = server.url(name);
  const auto port = std::to_string(server.port());
  url.replace(url.find(port), port.size(), std::to_string(proxy.port()));
  auto node = start_node(url, "a");
  std::atomic<int> ok = 0;
  std::atomic<bool> done = false;
  const auto wait_for = [&](auto condition) {
    while (!done && !condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  // Whenever some more duties are signed, replies vanish, and then the connections.
  std::thread mischief([&] {
    while (!done) {
      wait_for([&, next = ok + 5] { return ok >= next; });
      proxy.set_to_client(test::Flow::kDrop);
      wait_for([&, before = proxy.bytes_to_client()] { return proxy.bytes_to_client() > before; });
      proxy.cut();
      proxy.set_to_client(test::Flow::kPass);
    }
  });
  for (std::uint32_t i = 0; i < 300; ++i) {
    const auto result = node->signer().sign_with_protection_blocking(request(i, 1), signs(*node));
    EXPECT_TRUE(result) << message(result.error());
    ok += result.has_value() ? 1 : 0;
  }
  done = true;
  mischief.join();
  EXPECT_EQ(ok, 300);
  EXPECT_EQ(server.sql("select count(*) from validator_duties where status = 'signed'", name), "300");
  EXPECT_EQ(server.sql("select count(*) from validator_duties where status = 'signing'", name), "0");
}

TEST(ClusterOnPostgres, nodes_in_other_time_zones_keep_each_others_rows) {
  PostgresServer server;
  const auto name = database(server);
  server.sql("alter database " + name + " set timezone = 'Asia/Tokyo'");
  auto tokyo = start_node(server.url(name), "tokyo");
  std::promise<void> holds, goes_on;
  auto slow = std::async(std::launch::async, [&] {
    const SignFunction sign = tokyo->blocking([&](const SignRequest& r) -> SignOutcome {
      holds.set_value();
      goes_on.get_future().wait();
      return signature_of(r.message_hash);
    });
    return tokyo->signer().sign_with_protection_blocking(request(1, 1), sign);
  });
  ASSERT_EQ(holds.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  server.sql("alter database " + name + " set timezone = 'America/Los_Angeles'");
  const auto counted = std::make_shared<CountLooks>();
  auto angeles = start_node(server.url(name), "los-angeles", {.executor = {}, .sql_pool = {}, .metrics = counted});
  auto waiting = std::async(std::launch::async, [&] {
    return angeles->signer().sign_with_protection_blocking(request(1, 2), signs(*angeles));
  });
  EXPECT_TRUE(test::eventually([&] { return counted->looks >= 5; }));
  EXPECT_EQ(waiting.wait_for(std::chrono::seconds(0)), std::future_status::timeout)
      << "a row of the other zone counts as neither abandoned nor stuck";
  goes_on.set_value();
  const auto slow_result = slow.get();
  EXPECT_TRUE(slow_result) << message(slow_result.error());
  const auto other = waiting.get();
  ASSERT_FALSE(other);
  EXPECT_TRUE(std::holds_alternative<SlashingProtection>(other.error())) << message(other.error());
  EXPECT_EQ(server.sql("select count(*) from validator_duties where abs(extract(epoch from started_at - (now() at time "
                       "zone 'UTC'))) < 60",
                       name),
            "1");
}

TEST(ClusterOnPostgres, a_second_process_under_a_node_id_is_refused_while_the_first_lives) {
  PostgresServer server;
  const auto name = database(server);
  auto node = start_node(server.url(name), "a");
  HaSignerConfig config{.signer = {.node_id = *NodeId::parse("a"), .rollup = address(0xaa, 1)},
                        .database_url = server.url(name),
                        .pool = {},
                        .allow_ephemeral = false};
  auto twin = create_ha_signer(config);
  const auto started = twin->signer().start_blocking();
  ASSERT_FALSE(started);
  EXPECT_TRUE(std::holds_alternative<NodeIdTaken>(started.error())) << message(started.error());
  const auto result = node->signer().sign_with_protection_blocking(request(1, 1), signs(*node));
  EXPECT_TRUE(result);
}

TEST(ClusterOnPostgres, stop_returns_at_once) {
  PostgresServer server;
  const auto name = database(server);
  auto node = start_node(server.url(name), "a");
  EXPECT_TRUE(node->signer().sign_with_protection_blocking(request(1, 1), signs(*node)));
  const auto began = steady_clock::now();
  node->stop();
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(1));
  const auto again = steady_clock::now();
  auto same_id = start_node(server.url(name), "a");
  EXPECT_LT(steady_clock::now() - again, std::chrono::seconds(1)) << "a clean stop leaves nothing to wait for";
}

}  // namespace
}  // namespace hasigner
