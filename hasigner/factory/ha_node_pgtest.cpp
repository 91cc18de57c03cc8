#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "tests/support/postgres_server.hpp"

namespace hasigner {
namespace {

using Kind = StartupError::Kind;
using test::PostgresServer;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kRollup = "0x00000000000000000000000000000000000000aa";
constexpr std::string_view kOtherRollup = "0x00000000000000000000000000000000000000bb";

SecretKey key() {
  return *SecretKey::parse("0x0000000000000000000000000000000000000000000000000000000000000001");
}

std::string empty_database() {
  auto& server = PostgresServer::shared();
  return server.url(server.create_database());
}

std::string migrated_database() {
  auto url = empty_database();
  auto migrator = postgres::Migrator::create(url);
  auto migrated = migrator->up();
  if (!migrated) throw std::runtime_error(migrated.error().message);
  return url;
}

HaSignerConfig config_for(const std::string& url, std::string_view node = "node-1", std::string_view rollup = kRollup) {
  return {.signer = {.node_id = *NodeId::parse(node), .rollup = *EthAddress::parse(rollup)},
          .database_url = url,
          .pool = {}};
}

SignRequest attestation(std::uint64_t slot, std::uint8_t data = 1) {
  SignRequest request{.validator = address_of(key()),
                      .message_hash = {},
                      .context = {.duty_type = DutyType::kAttestation, .slot = *Slot::from(slot)}};
  request.message_hash.bytes().back() = data;
  return request;
}

SignResult<SignedDuty> sign_once(HaNode& node, const SignRequest& request) {
  return node.signer().sign_with_protection_blocking(
      request, node.blocking([](const SignRequest& r) -> SignOutcome { return sign(key(), r.message_hash); }));
}

struct Refusal {
  Kind kind = Kind::kConfiguration;
  std::string sentence;
};

std::optional<Refusal> refusal_of(const HaSignerConfig& config, HaSignerParts parts = {}) {
  try {
    const auto node = create_ha_signer(config, std::move(parts));
  } catch (const StartupError& e) {
    return Refusal{e.kind(), e.what()};
  }
  return std::nullopt;
}

/// A caller's own thread and pool.
struct CallersOwn {
  explicit CallersOwn(const std::string& url) {
    postgres::PoolConfig config;
    config.url = url;
    pool = std::make_shared<SharedSqlPool>(postgres::LibpqExecutor::create(context.get_executor(), config).value());
    thread = std::thread([this] { context.run(); });
  }
  ~CallersOwn() {
    asio::co_spawn(context, pool->close(), asio::use_future).get();
    guard.reset();
    thread.join();
  }
  [[nodiscard]] HaSignerParts parts() {
    HaSignerParts made;
    made.executor = context.get_executor();
    made.sql_pool = pool;
    return made;
  }

  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(context);
  std::shared_ptr<SharedSqlPool> pool;
  std::thread thread;
};

class TemporaryFolder : public testing::Test {
 protected:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ha-node-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() override { std::filesystem::remove_all(folder); }

  std::filesystem::path folder;
};

TEST(HaNodeOnPostgres, signs_once_whichever_node_asks) {
  const auto url = migrated_database();
  const auto first = create_ha_signer(config_for(url, "node-1"));
  const auto second = create_ha_signer(config_for(url, "node-2"));
  ASSERT_TRUE(first->signer().start_blocking());
  ASSERT_TRUE(second->signer().start_blocking());
  ASSERT_TRUE(sign_once(*first, attestation(5)));
  const auto again = sign_once(*second, attestation(5));
  ASSERT_FALSE(again);
  const auto* already = std::get_if<DutyAlreadySigned>(&again.error());
  ASSERT_TRUE(already);
  EXPECT_EQ(already->signed_by, "node-1");
  EXPECT_EQ(already->signature, sign(key(), attestation(5).message_hash));
}

TEST(HaNodeOnPostgres, refuses_a_second_node_with_the_same_id) {
  const auto url = migrated_database();
  const auto first = create_ha_signer(config_for(url));
  const auto second = create_ha_signer(config_for(url));
  ASSERT_TRUE(first->signer().start_blocking());
  const auto refused = second->signer().start_blocking();
  ASSERT_FALSE(refused);
  EXPECT_EQ(kind_name(refused.error()), "node_id_taken");
  first->stop();
  EXPECT_TRUE(second->signer().start_blocking());
}

TEST(HaNodeOnPostgres, several_stores_share_a_pool_that_outlives_them) {
  const auto url = migrated_database();
  CallersOwn own(url);
  auto first = create_ha_signer(config_for(url, "node-1", kRollup), own.parts());
  const auto second = create_ha_signer(config_for(url, "node-2", kOtherRollup), own.parts());
  ASSERT_TRUE(first->signer().start_blocking());
  ASSERT_TRUE(second->signer().start_blocking());
  EXPECT_TRUE(sign_once(*first, attestation(5)));
  EXPECT_TRUE(sign_once(*second, attestation(5)));
  first.reset();
  EXPECT_TRUE(sign_once(*second, attestation(6)));
  const auto third = create_ha_signer(config_for(url, "node-1", kRollup), own.parts());
  ASSERT_TRUE(third->signer().start_blocking());
  EXPECT_FALSE(sign_once(*third, attestation(5, 2)));
  EXPECT_TRUE(sign_once(*third, attestation(7)));
}

TEST(HaNodeOnPostgres, checks_each_new_session_of_a_shared_pool_for_every_store) {
  const auto url = migrated_database();
  CallersOwn own(url);
  const auto first = create_ha_signer(config_for(url, "node-1", kRollup), own.parts());
  const auto second = create_ha_signer(config_for(url, "node-2", kOtherRollup), own.parts());
  // Another cluster's history is put in place of the one that both have seen; new sessions must notice it.
  test::SqlSession session(url);
  session.exec("update ha_signer_cluster set cluster_id = 'ffffffffffffffffffffffffffffffff'");
  session.exec(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
      "pg_backend_pid()");
  // A store that is opened now has seen nothing else, so its own check has no objection: only the others' have.
  auto config = config_for(url, "node-3", kRollup);
  config.open_timeout = milliseconds(500);
  // The first calls may still meet a session that is just being ended.
  EXPECT_TRUE(test::eventually([&] {
    const auto refusal = refusal_of(config, own.parts());
    return refusal && refusal->sentence.find("cluster") != std::string::npos;
  }));
  for (HaNode* node : {first.get(), second.get()}) {
    const auto deadline = node->clock().now() + milliseconds(500);
    const auto looked = node->run(node->store().look({DutyKey{}}, deadline));
    ASSERT_FALSE(looked);
    EXPECT_THAT(looked.error().reason, HasSubstr("cluster"));
  }
}

TEST(HaNodeOnPostgres, a_store_that_was_closed_judges_no_session_of_a_shared_pool_any_more) {
  const auto url = migrated_database();
  CallersOwn own(url);
  auto first = create_ha_signer(config_for(url, "node-1", kRollup), own.parts());
  first.reset();
  test::SqlSession session(url);
  session.exec("update ha_signer_cluster set cluster_id = 'ffffffffffffffffffffffffffffffff'");
  session.exec(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
      "pg_backend_pid()");
  // The first calls may still meet a session that is just being ended.
  EXPECT_TRUE(test::eventually([&] { return !refusal_of(config_for(url, "node-2", kRollup), own.parts()); }));
}

TEST(HaNodeOnPostgres, a_shared_pool_needs_its_executor_and_a_postgres_url) {
  CallersOwn own(empty_database());
  auto parts = own.parts();
  parts.executor.reset();
  const auto without_executor = refusal_of(config_for("postgresql://localhost/x"), parts);
  ASSERT_TRUE(without_executor);
  EXPECT_EQ(without_executor->kind, Kind::kConfiguration);
  const auto with_sqlite = refusal_of(config_for("sqlite:/nowhere/x.db"), own.parts());
  ASSERT_TRUE(with_sqlite);
  EXPECT_EQ(with_sqlite->kind, Kind::kConfiguration);
}

TEST(HaNodeOnPostgres, names_the_command_when_tables_are_missing) {
  const auto refusal = refusal_of(config_for(empty_database()));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->kind, Kind::kIncompatible);
  EXPECT_THAT(refusal->sentence, HasSubstr("ha-signer migrate up"));
}

TEST(HaNodeOnPostgres, says_what_keeps_it_from_the_server_and_not_the_password) {
  auto config = config_for("postgresql://someone:hunter2@127.0.0.1:" + std::to_string(test::free_port()) + "/x");
  config.open_timeout = milliseconds(500);
  const auto before = std::chrono::steady_clock::now();
  const auto closed_port = refusal_of(config);
  ASSERT_TRUE(closed_port);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
  EXPECT_EQ(closed_port->kind, Kind::kUnavailable);
  EXPECT_THAT(closed_port->sentence, HasSubstr("refused"));
  EXPECT_THAT(closed_port->sentence, Not(HasSubstr("hunter2")));

  const auto unknown = refusal_of(config_for(PostgresServer::shared().url("no_such_database", "postgres", "hunter2")));
  ASSERT_TRUE(unknown);
  EXPECT_THAT(unknown->sentence, HasSubstr("no_such_database"));
  EXPECT_THAT(unknown->sentence, Not(HasSubstr("hunter2")));

  const auto wrong_url = refusal_of(config_for("postgresql://u:hunter2@localhost/x?no_such_option=1"));
  ASSERT_TRUE(wrong_url);
  EXPECT_EQ(wrong_url->kind, Kind::kConfiguration);
  EXPECT_THAT(wrong_url->sentence, Not(HasSubstr("hunter2")));
}

/// A primary and its standby, which is promoted while the primary lives on.
struct SplitServers : testing::Test {
  SplitServers() {
    auto migrator = postgres::Migrator::create(primary.url());
    const auto migrated = migrator->up();
    EXPECT_TRUE(migrated);
    const auto address = [](const PostgresServer& server) { return "127.0.0.1:" + std::to_string(server.port()); };
    node = create_ha_signer(config_for("postgresql://postgres@" + address(primary) + "," + address(standby) +
                                       "/postgres?connect_timeout=2"));
  }

  /// The ids of the nodes that a read finds.
  [[nodiscard]] std::vector<std::string> nodes() {
    auto entries = node->run(node->history().nodes(std::chrono::steady_clock::now() + std::chrono::seconds(5)));
    if (!entries) return {"error: " + entries.error().reason};
    std::vector<std::string> ids;
    for (const auto& entry : *entries) ids.push_back(entry.node_id);
    return ids;
  }

  /// Of the server that the node signs with.
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() {
    const auto read = [](Store& store) -> asio::awaitable<std::shared_ptr<const StoreEpoch>> {
      co_return store.epoch();
    };
    return node->run(read(node->store()));
  }

  PostgresServer primary;
  PostgresServer standby{primary, "standby"};
  std::unique_ptr<HaNode> node;
};

TEST_F(SplitServers, reads_do_not_stay_with_the_server_that_signing_has_left) {
  ASSERT_TRUE(node->signer().start_blocking());
  ASSERT_TRUE(sign_once(*node, attestation(1)));
  ASSERT_THAT(nodes(), testing::ElementsAre("node-1"));
  ASSERT_TRUE(test::eventually([&] {
    return primary.sql("select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()") == "1";
  }));
  standby.promote();
  // What only the former primary has.
  primary.sql(
      "insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until) values "
      "('left-behind', '0000000000000001', now(), now(), now())");
  ASSERT_THAT(nodes(), testing::Contains("left-behind")) << "the node has not noticed anything yet";
  primary.sql("alter database postgres allow_connections false", "template1");
  primary.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'postgres' and query not like '%order by "
      "n.node_id%'",
      "template1");
  ASSERT_TRUE(test::eventually([&] { return epoch()->timeline == 2; }));
  EXPECT_THAT(nodes(), testing::ElementsAre("node-1"));
}

using HaNodeOnSqlite = TemporaryFolder;

TEST_F(HaNodeOnSqlite, makes_its_file_and_remembers_what_was_signed) {
  const auto url = "sqlite:" + (folder / "signer.db").string();
  for (int life = 0; life < 2; ++life) {
    const auto node = create_ha_signer(config_for(url));
    ASSERT_TRUE(node->signer().start_blocking());
    EXPECT_EQ(sign_once(*node, attestation(5)).has_value(), life == 0);
    EXPECT_FALSE(sign_once(*node, attestation(5, 2)));
    EXPECT_EQ(node->shown_url(), url);
  }
}

TEST_F(HaNodeOnSqlite, refuses_a_path_that_leads_to_something_else) {
  const auto of_folder = refusal_of(config_for("sqlite:" + folder.string()));
  ASSERT_TRUE(of_folder);
  EXPECT_EQ(of_folder->kind, Kind::kIncompatible);
  const auto letter = folder / "letter.txt";
  std::ofstream(letter) << std::string(5000, 'x');
  const auto of_letter = refusal_of(config_for("sqlite:" + letter.string()));
  ASSERT_TRUE(of_letter);
  EXPECT_EQ(of_letter->kind, Kind::kIncompatible);
  EXPECT_THAT(of_letter->sentence, HasSubstr("letter.txt"));
}

}  // namespace
}  // namespace hasigner
