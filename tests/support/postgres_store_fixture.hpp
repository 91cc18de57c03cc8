#pragma once

// What the tests of the PostgreSQL store on a real server share.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/postgres_store.hpp"
#include "hasigner/store/postgres/schema_files.hpp"
#include "tests/support/postgres_server.hpp"

namespace hasigner::postgres::test {

using namespace std::chrono_literals;
using hasigner::test::PostgresServer;
using hasigner::test::SqlSession;

inline MonotonicTime in(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// Makes the shared tables up to a version, and ours beside them.
inline void migrate(SqlSession& session, int version = kNewestSchemaVersion) {
  for (const Migration& migration : shared_migrations()) {
    if (migration.version <= version) session.exec("begin;" + std::string(migration.up) + ";commit");
  }
  session.exec("begin;" + std::string(own_schema()) + ";commit");
}

/// One node's store with its executor, driven by the test: nothing moves while the test does not wait.
class StoreFixture {
 public:
  explicit StoreFixture(std::string url, PostgresStoreOptions options = {}, std::size_t connections = 4)
      : StoreFixture(PoolConfig{.url = std::move(url), .max = connections}, options) {}
  explicit StoreFixture(PoolConfig config, PostgresStoreOptions options = {})
      : clock(io.get_executor()), executor(make(std::move(config))), store(executor, clock, options) {}
  ~StoreFixture() { wait(executor->close()); }

  template <class T>
  std::future<T> start(asio::awaitable<T> work) {
    return asio::co_spawn(io, std::move(work), asio::use_future);
  }

  /// Lets everything that was started work until this has its result.
  template <class T>
  T wait(std::future<T> result) {
    const auto end = in(60s);
    while (result.wait_for(0s) != std::future_status::ready) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the test waits too long");
      io.restart();
      io.run_one_for(5ms);
    }
    return result.get();
  }
  template <class T>
  T wait(asio::awaitable<T> work) {
    return wait(start(std::move(work)));
  }

  /// Lets everything that was started work until a condition holds that others bring about.
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

  /// The outcomes of a batch; throws what the store says went wrong.
  template <class T>
  std::vector<T> outcomes(StoreBatch<T> batch) {
    auto reply = wait(std::move(batch));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return std::move(*reply);
  }

  asio::io_context io;
  SystemClock clock;
  std::shared_ptr<LibpqExecutor> executor;
  PostgresStore store;

 private:
  std::shared_ptr<LibpqExecutor> make(PoolConfig config) {
    auto made = LibpqExecutor::create(io.get_executor(), std::move(config));
    if (!made) throw std::runtime_error(made.error().message());
    return *made;
  }
};

inline NodeId node(const std::string& name = "node-1") {
  return NodeId::parse(name).value();
}

inline EthAddress address(std::uint32_t number) {
  std::array<std::uint8_t, 20> bytes{0xab, 0xcd};
  for (std::size_t i = 0; i < 4; ++i) bytes[16 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return EthAddress(bytes);
}

inline MessageHash hash(std::uint8_t fill) {
  MessageHash value;
  value.bytes().fill(fill);
  return value;
}

inline Signature signature(std::uint8_t fill) {
  Signature value;
  value.bytes().fill(fill);
  value.bytes()[64] = 27;
  return value;
}

inline Incarnation incarnation(std::uint8_t fill) {
  Incarnation value;
  value.bytes().fill(fill);
  return value;
}

inline LockToken token(std::uint32_t number, std::uint8_t of_incarnation = 0x11, TokenKind kind = TokenKind::kFenced) {
  std::array<std::uint8_t, 7> random{};
  for (std::size_t i = 0; i < 4; ++i) random[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return LockToken::make(incarnation(of_incarnation), kind, random);
}

inline const EthAddress kRollup = address(0xffffffff);

struct DutyOptions {
  std::uint32_t validator = 1;
  std::uint64_t slot = 100;
  DutyType type = DutyType::kAttestation;
  std::int32_t block_index = kNoBlockIndex;
  std::uint8_t hash = 0xaa;
};

inline Duty duty(DutyOptions options = {}) {
  return {
      .key = {kRollup, address(options.validator), Slot::from(options.slot).value(), options.type, options.block_index},
      .block_number = BlockNumber::from(7).value(),
      .checkpoint_number = CheckpointNumber::from(8).value(),
      .message_hash = hash(options.hash)};
}

/// A migrated database with one store on it, and a session beside it.
class PostgresStoreTest : public testing::Test {
 protected:
  explicit PostgresStoreTest(int version = kNewestSchemaVersion)
      : server(PostgresServer::shared()), database(server.create_database()), session(server.url(database)) {
    migrate(session, version);
    fixture = std::make_unique<StoreFixture>(server.url(database));
  }

  std::vector<ClaimOutcome> claim(std::vector<DutyClaim> claims, const std::string& node_name = "node-1") {
    return fixture->outcomes(fixture->store.claim(node(node_name), std::move(claims), in(20s)));
  }
  ClaimOutcome claim_one(Duty one, LockToken with) { return claim({{std::move(one), std::move(with)}}).at(0); }
  std::vector<SignedClaimOutcome> claim_signed(std::vector<SignedClaim> claims,
                                               const std::string& node_name = "node-1") {
    return fixture->outcomes(fixture->store.claim_signed(node(node_name), std::move(claims), in(20s)));
  }
  std::vector<DutyView> look(std::vector<DutyKey> keys) {
    return fixture->outcomes(fixture->store.look(std::move(keys), in(20s)));
  }
  DutyView look_one(const DutyKey& key) { return look({key}).at(0); }
  std::vector<RowOutcome> record(std::vector<DutyRecord> records) {
    return fixture->outcomes(fixture->store.record(std::move(records), in(20s)));
  }
  RowOutcome record_one(const Duty& one, const LockToken& with, std::uint8_t fill = 1) {
    return record({{one.key, with, one.message_hash, signature(fill)}}).at(0);
  }
  RowOutcome take_over_one(Takeover takeover, const std::string& node_name = "node-2") {
    return fixture->outcomes(fixture->store.take_over(node(node_name), {std::move(takeover)}, in(20s))).at(0);
  }
  bool release_one(const DutyKey& key, const LockToken& with) {
    const auto reply = fixture->wait(fixture->store.release({{key, with}}, in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return reply->outcomes.at(0) == RowOutcome::kApplied;
  }
  bool register_node(const std::string& name, std::uint8_t of_incarnation, milliseconds lease = 60s) {
    const auto outcome =
        fixture->wait(fixture->store.register_node({node(name), incarnation(of_incarnation), lease}, in(20s)));
    if (!outcome) throw std::runtime_error(outcome.error().reason);
    return outcome->registered;
  }
  RemovalOutcome remove(Removal what, milliseconds age = 0ms, std::size_t limit = 1000) {
    const auto outcome = fixture->wait(fixture->store.remove(
        {.what = what, .node_id = node(), .rollup = kRollup, .max_age = age, .limit = limit}, in(20s)));
    if (!outcome) throw std::runtime_error(outcome.error().reason);
    return *outcome;
  }

  PostgresServer& server;
  std::string database;
  SqlSession session;
  std::unique_ptr<StoreFixture> fixture;
};

}  // namespace hasigner::postgres::test
