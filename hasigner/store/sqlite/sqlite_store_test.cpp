#include "hasigner/store/sqlite/sqlite_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/sqlite/disk_under_test.hpp"
#include "hasigner/store/sqlite/node_locks.hpp"
#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::sqlite {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A person with the sqlite3 shell.
class Person {
 public:
  explicit Person(const fs::path& path) { check(sqlite3_open(path.c_str(), &db_)); }
  ~Person() { sqlite3_close(db_); }
  Person(const Person&) = delete;
  Person& operator=(const Person&) = delete;

  /// Rows of the last statement: columns separated by `|`, rows by a new line.
  std::string exec(const std::string& sql) {
    std::string rows;
    const auto add = [](void* out, int columns, char** values, char**) {
      auto& text = *static_cast<std::string*>(out);
      for (int i = 0; i < columns; ++i)
        text += (i > 0 ? "|" : text.empty() ? "" : "\n") + std::string(values[i] ? values[i] : "");
      return 0;
    };
    check(sqlite3_exec(db_, sql.c_str(), add, &rows, nullptr));
    return rows;
  }

  /// The shell's command `.restore FILE`.
  void restore(const fs::path& from) {
    const Person source(from);
    sqlite3_backup* backup = sqlite3_backup_init(db_, "main", source.db_, "main");
    sqlite3_backup_step(backup, -1);
    check(sqlite3_backup_finish(backup));
  }

 private:
  void check(int code) {
    if (code != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(db_));
  }
  sqlite3* db_ = nullptr;
};

struct SqliteStoreTest : testing::Test {
  SqliteStoreTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-sqlite-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    path = folder / "duties.db";
  }
  ~SqliteStoreTest() override {
    for (auto& store : stores) run(store->close());
    stores.clear();
    fs::remove_all(folder);
  }

  template <class T>
  T run(asio::awaitable<T> work) {
    auto future = asio::co_spawn(context, std::move(work), asio::use_future);
    while (future.wait_for(0s) != std::future_status::ready) {
      context.restart();
      context.run_one_for(10ms);
    }
    return future.get();
  }
  MonotonicTime within(milliseconds time) const { return clock->now() + time; }

  StoreResult<std::shared_ptr<SqliteStore>> try_open(const fs::path& file, SqliteOptions options = {},
                                                     milliseconds time = 10s) {
    auto store = run(SqliteStore::open(file.string(), clock, context.get_executor(), options, within(time)));
    if (store) stores.push_back(*store);
    return store;
  }
  SqliteStore& open() { return *try_open(path).value(); }
  std::string refusal(const fs::path& file) {
    const auto store = try_open(file);
    EXPECT_FALSE(store);
    if (store) return "opened";
    EXPECT_EQ(store.error().kind, StoreErrorKind::kIncompatible);
    return store.error().reason;
  }

  static DutyClaim claim_of(std::uint64_t slot, std::uint8_t validator = 1) {
    EthAddress rollup, address;
    rollup.bytes()[0] = 0xaa;
    address.bytes()[0] = validator;
    MessageHash hash;
    hash.bytes()[0] = 7;
    const auto duty =
        make_duty(rollup, address, hash, {.duty_type = DutyType::kAttestation, .slot = Slot::from(slot).value()});
    return {duty.value(), LockToken("token-" + std::to_string(slot) + "-" + std::to_string(validator))};
  }
  static DutyRecord record_of(const DutyClaim& claim) {
    return {claim.duty.key, claim.token, claim.duty.message_hash, Signature{}};
  }
  StoreResult<std::vector<ClaimOutcome>> claim(SqliteStore& store, std::vector<DutyClaim> claims,
                                               milliseconds time = 10s) {
    return run(store.claim(node, std::move(claims), within(time)));
  }
  StoreResult<std::vector<RowOutcome>> record(SqliteStore& store, std::vector<DutyRecord> records,
                                              milliseconds time = 10s) {
    return run(store.record(std::move(records), within(time)));
  }

  asio::io_context context;
  std::shared_ptr<SystemClock> clock = std::make_shared<SystemClock>(context.get_executor());
  const NodeId node = NodeId::parse("node").value();
  fs::path folder, path;
  std::vector<std::shared_ptr<SqliteStore>> stores;
};

bool says(const std::string& sentence, std::string_view part) {
  return sentence.find(part) != std::string::npos;
}

TEST_F(SqliteStoreTest, has_the_columns_of_postgresql_version_3) {
  open();
  Person person(path);
  EXPECT_EQ(
      person.exec("select group_concat(name, ' ') from pragma_table_info('validator_duties')"),
      "rollup_address validator_address slot block_number block_index_within_checkpoint duty_type status message_hash "
      "signature node_id lock_token started_at completed_at error_message checkpoint_number expires_at");
  EXPECT_EQ(person.exec("select version from schema_version"), "3");
  EXPECT_EQ(person.exec("pragma application_id"), std::to_string(kApplicationId));
  EXPECT_EQ(person.exec("pragma user_version"), std::to_string(schema_version()));
  EXPECT_EQ(person.exec("pragma journal_mode"), "wal");
}

TEST_F(SqliteStoreTest, a_row_reads_as_the_published_tables_have_it) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  ASSERT_TRUE(record(store, {record_of(mine)}));
  Person person(path);
  EXPECT_EQ(
      person.exec(
          "select rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type,"
          " status, message_hash, signature, node_id, lock_token, checkpoint_number from validator_duties"),
      "0xaa" + std::string(38, '0') + "|0x01" + std::string(38, '0') + "|5|0|-1|ATTESTATION|signed|0x07" +
          std::string(62, '0') + "|0x" + std::string(130, '0') + "|node|token-5-1|0");
  EXPECT_EQ(person.exec("select started_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] "
                        "[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]"
                        "[0-9][0-9][0-9]', completed_at >= started_at, expires_at is null from validator_duties"),
            "1|1|1");
}

TEST_F(SqliteStoreTest, a_person_with_the_shell_who_deletes_signed_rows_raises_the_watermark) {
  SqliteStore& store = open();
  const DutyClaim older = claim_of(5), newer = claim_of(9);
  ASSERT_TRUE(claim(store, {older, newer}));
  ASSERT_TRUE(record(store, {record_of(older), record_of(newer)}));
  Person(path).exec("delete from validator_duties");
  const auto again = claim(store, {claim_of(8)});
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)[0].view.watermarks.low, Slot::from(9).value());
  EXPECT_EQ(record(store, {record_of(claim_of(8))}).value()[0], RowOutcome::kNotMatched);
}

TEST_F(SqliteStoreTest, only_this_user_may_read_the_files) {
  SqliteStore& store = open();
  ASSERT_TRUE(claim(store, {claim_of(5)}));
  for (const auto& file : fs::directory_iterator(folder)) {
    struct stat found {};
    ASSERT_EQ(::stat(file.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600U) << file.path();
  }
}

TEST_F(SqliteStoreTest, refuses_the_database_of_another_program_and_leaves_it_as_it_is) {
  { Person(path).exec("create table mine (x); insert into mine values (1)"); }
  const auto before = fs::file_size(path);
  EXPECT_TRUE(says(refusal(path), "another program"));
  EXPECT_TRUE(says(refusal(path), path.string()));
  EXPECT_EQ(fs::file_size(path), before);
  EXPECT_EQ(Person(path).exec("select group_concat(name) from sqlite_schema"), "mine");
  EXPECT_EQ(Person(path).exec("pragma journal_mode"), "delete");
}

TEST_F(SqliteStoreTest, refuses_a_database_of_a_newer_version_and_does_not_reset_it) {
  run(open().close());
  Person(path).exec(
      "pragma user_version=99; insert into ha_signer_watermarks values ('0x1', '0x2', 'ATTESTATION', 5, null, '')");
  EXPECT_TRUE(says(refusal(path), "newer version"));
  EXPECT_EQ(Person(path).exec("select low_slot from ha_signer_watermarks"), "5");
}

TEST_F(SqliteStoreTest, refuses_a_file_that_is_not_a_database) {
  std::ofstream(path) << std::string(5000, 'x');
  EXPECT_TRUE(says(refusal(path), "is not a sound SQLite database"));
  EXPECT_TRUE(says(refusal(folder), "folder"));
  EXPECT_TRUE(says(refusal(folder / "missing" / "a.db"), "make it first"));
}

TEST_F(SqliteStoreTest, stops_when_a_newer_program_has_migrated_the_file) {
  SqliteStore& store = open();
  Person(path).exec("pragma user_version=99");
  const auto outcome = claim(store, {claim_of(5)});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
}

TEST_F(SqliteStoreTest, many_openers_at_once_make_one_database) {
  std::vector<std::thread> openers;
  std::vector<std::string> ids(8);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    openers.emplace_back([&, i] {
      asio::io_context own;
      auto own_clock = std::make_shared<SystemClock>(own.get_executor());
      auto opened = asio::co_spawn(
          own, SqliteStore::open(path.string(), own_clock, own.get_executor(), {}, own_clock->now() + 20s),
          asio::use_future);
      while (opened.wait_for(0s) != std::future_status::ready) own.run_one_for(10ms);
      auto store = opened.get();
      ids[i] = store ? "opened" : store.error().reason;
    });
  }
  for (auto& opener : openers) opener.join();
  for (const auto& id : ids) EXPECT_EQ(id, "opened");
  EXPECT_EQ(Person(path).exec("select count(*) from ha_signer_cluster"), "1");
}

TEST_F(SqliteStoreTest, nothing_is_confirmed_once_another_file_is_in_its_place) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  fs::copy(path, folder / "backup.db");
  fs::rename(folder / "backup.db", path);
  const auto outcome = record(store, {record_of(mine)});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_TRUE(says(outcome.error().reason, "another file"));
  fs::remove(path);
  EXPECT_EQ(record(store, {record_of(mine)}).error().kind, StoreErrorKind::kIncompatible);
}

TEST_F(SqliteStoreTest, nothing_is_confirmed_once_the_log_is_gone_or_another) {
  for (const char* suffix : {"-wal", "-shm"}) {
    for (const bool put_another : {false, true}) {
      const fs::path file = folder / (std::string("log") + suffix + (put_another ? "2" : "1"));
      SqliteStore& store = *try_open(file).value();
      const DutyClaim mine = claim_of(5), later = claim_of(6);
      ASSERT_TRUE(claim(store, {mine, later}));
      ASSERT_EQ(record(store, {record_of(mine)}).value()[0], RowOutcome::kApplied);
      const fs::path log = file.string() + suffix;
      fs::rename(log, file.string() + ".kept");
      if (put_another) std::ofstream(log) << "";
      const auto outcome = record(store, {record_of(later)});
      ASSERT_FALSE(outcome) << log;
      EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
      EXPECT_TRUE(says(outcome.error().reason, log.string())) << outcome.error().reason;
      EXPECT_FALSE(run(store.look({mine.duty.key}, within(10s))));
      fs::rename(file.string() + ".kept", log);
      EXPECT_EQ(record(store, {record_of(later)}).error().kind, StoreErrorKind::kIncompatible) << "for good";
    }
  }
}

TEST_F(SqliteStoreTest, a_log_that_vanishes_while_a_record_is_written_confirms_nothing) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  Person other(path);
  other.exec("begin immediate");
  auto waiting = asio::co_spawn(context, store.record({record_of(mine)}, within(10s)), asio::use_future);
  while (context.poll() > 0) continue;
  fs::remove(path.string() + "-wal");
  other.exec("rollback");
  while (waiting.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
  const auto outcome = waiting.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
}

TEST_F(SqliteStoreTest, other_users_of_the_database_who_come_and_go_do_not_disturb_the_log) {
  SqliteStore& store = open();
  for (std::uint64_t slot = 1; slot <= 3; ++slot) {
    EXPECT_TRUE(claim(store, {claim_of(slot)}));
    Person(path).exec("pragma wal_checkpoint(truncate)");
  }
  SqliteStore& second = open();
  EXPECT_TRUE(claim(second, {claim_of(4)}));
  run(second.close());
  EXPECT_TRUE(claim(store, {claim_of(5)}));
}

TEST_F(SqliteStoreTest, waits_for_another_writer_no_longer_than_the_deadline) {
  SqliteStore& store = open();
  Person other(path);
  other.exec("begin immediate");
  const auto start = clock->now();
  const auto refused = claim(store, {claim_of(5)}, 100ms);
  const auto waited = clock->now() - start;
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_LT(waited, 1s);
  other.exec("rollback");
  EXPECT_EQ(Person(path).exec("select count(*) from validator_duties"), "0");
  EXPECT_TRUE(claim(store, {claim_of(5)}));
}

TEST_F(SqliteStoreTest, reads_wait_for_no_writer) {
  SqliteStore& store = open();
  ASSERT_TRUE(claim(store, {claim_of(5)}));
  Person other(path);
  other.exec("begin immediate; update validator_duties set node_id = 'other'");
  auto waiting = asio::co_spawn(context, store.claim(node, {claim_of(6)}, within(10s)), asio::use_future);
  const auto view = run(store.look({claim_of(5).duty.key}, within(10s)));
  ASSERT_TRUE(view);
  EXPECT_EQ((*view)[0].row->node_id, "node");
  EXPECT_NE(waiting.wait_for(0s), std::future_status::ready);
  other.exec("commit");
  while (waiting.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
  EXPECT_TRUE(waiting.get());
}

TEST_F(SqliteStoreTest, what_waits_shares_one_transaction) {
  SqliteStore& store = open();
  Person other(path);
  other.exec("begin immediate");
  std::vector<std::future<StoreResult<std::vector<ClaimOutcome>>>> waiting;
  for (std::uint64_t slot = 0; slot < 50; ++slot) {
    waiting.push_back(asio::co_spawn(context, store.claim(node, {claim_of(slot)}, within(10s)), asio::use_future));
  }
  const auto pages_before = fs::file_size(path.string() + "-wal");
  while (context.poll() > 0) continue;
  other.exec("commit");
  for (auto& claim : waiting) {
    while (claim.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
    EXPECT_TRUE(claim.get());
  }
  // Fifty transactions would have written each page that they touch fifty times.
  EXPECT_LT(fs::file_size(path.string() + "-wal") - pages_before, 100'000U);
}

TEST_F(SqliteStoreTest, what_is_claimed_and_recorded_at_once_is_kept_for_as_long_as_it_is_told) {
  SqliteStore& store = *try_open(path, {.retention = std::chrono::hours(48)}).value();
  Incarnation incarnation;
  incarnation.bytes()[0] = 1;
  ASSERT_TRUE(run(store.register_node({node, incarnation, 60s}, within(10s)))->registered);
  const SignedClaim claim{claim_of(5).duty, LockToken::make(incarnation, TokenKind::kFenced, {}), Signature{}};
  const auto outcomes = run(store.claim_signed(node, {claim}, within(10s)));
  ASSERT_TRUE(outcomes) << outcomes.error().reason;
  EXPECT_EQ(outcomes->at(0).outcome, RowOutcome::kApplied);
  EXPECT_EQ(Person(path).exec("select status, completed_at = started_at, julianday(expires_at) - julianday(started_at) "
                              "from validator_duties"),
            "signed|1|2.0");
}

TEST_F(SqliteStoreTest, a_signed_claim_whose_row_a_trigger_of_others_leaves_out_is_not_confirmed) {
  SqliteStore& store = open();
  Incarnation incarnation;
  incarnation.bytes()[0] = 1;
  ASSERT_TRUE(run(store.register_node({node, incarnation, 60s}, within(10s)))->registered);
  Person(path).exec("create trigger odd before insert on validator_duties begin select raise(ignore); end");
  const SignedClaim claim{claim_of(5).duty, LockToken::make(incarnation, TokenKind::kFenced, {}), Signature{}};
  const auto outcomes = run(store.claim_signed(node, {claim}, within(10s)));
  ASSERT_TRUE(outcomes) << outcomes.error().reason;
  EXPECT_EQ(outcomes->at(0).outcome, RowOutcome::kNotMatched);
}

/// It would take itself for alive, while others, who ask for its lock, do not.
TEST_F(SqliteStoreTest, a_node_that_gave_its_lock_back_is_not_renewed) {
  SqliteStore& store = open();
  Incarnation incarnation;
  incarnation.bytes()[0] = 1;
  const NodeRegistration registration{node, incarnation, 60s};
  ASSERT_TRUE(run(store.register_node(registration, within(10s)))->registered);
  EXPECT_TRUE(run(store.renew(registration, within(10s))).value());
  ASSERT_TRUE(run(store.end_lease(registration, within(10s))));
  EXPECT_FALSE(run(store.renew(registration, within(10s))).value());
  EXPECT_TRUE(run(store.register_node(registration, within(10s)))->registered);
  EXPECT_TRUE(run(store.renew(registration, within(10s))).value());
}

/// SQLite gives the lock number of a row that was deleted to the next one.
TEST_F(SqliteStoreTest, a_node_whose_row_a_person_deleted_registers_anew_under_the_lock_that_it_holds) {
  SqliteStore& store = open();
  Incarnation incarnation;
  incarnation.bytes()[0] = 1;
  const NodeRegistration registration{node, incarnation, 60s};
  ASSERT_TRUE(run(store.register_node(registration, within(10s)))->registered);
  Person(path).exec("delete from ha_signer_nodes");
  EXPECT_FALSE(run(store.renew(registration, within(10s))).value());
  EXPECT_TRUE(run(store.register_node(registration, within(10s)))->registered);
  EXPECT_TRUE(run(store.renew(registration, within(10s))).value());
  EXPECT_EQ(Person(path).exec("select lock_number from ha_signer_nodes"), "1");
}

TEST_F(SqliteStoreTest, a_new_node_does_not_get_the_lock_of_a_living_one_whose_row_a_person_deleted) {
  SqliteStore& store = open();
  SqliteStore& other_store = open();
  Incarnation incarnation, other_incarnation;
  incarnation.bytes()[0] = 1;
  other_incarnation.bytes()[0] = 2;
  ASSERT_TRUE(run(store.register_node({node, incarnation, 60s}, within(10s)))->registered);
  Person(path).exec("delete from ha_signer_nodes");
  const NodeRegistration other{NodeId::parse("other").value(), other_incarnation, 60s};
  const auto refused = run(other_store.register_node(other, within(10s)));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(says(refused.error().reason, "held by a node without a row")) << refused.error().reason;
  ASSERT_TRUE(run(store.register_node({node, incarnation, 60s}, within(10s)))->registered);
  EXPECT_TRUE(run(other_store.register_node(other, within(10s)))->registered);
}

TEST_F(SqliteStoreTest, a_call_with_values_that_the_table_refuses_does_not_fail_its_neighbours) {
  SqliteStore& store = open();
  Person other(path);
  other.exec("begin immediate");
  const DutyClaim good = claim_of(5);
  DutyClaim bad = claim_of(6);
  bad.token = LockToken(std::string(65, 'x'));
  auto first = asio::co_spawn(context, store.claim(node, {good}, within(10s)), asio::use_future);
  auto second = asio::co_spawn(context, store.claim(node, {bad}, within(10s)), asio::use_future);
  while (context.poll() > 0) continue;
  other.exec("commit");
  const auto wait = [&](auto& future) {
    while (future.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
    return future.get();
  };
  EXPECT_TRUE(wait(first));
  const auto refused = wait(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_EQ(Person(path).exec("select group_concat(slot) from validator_duties"), "5");
}

TEST_F(SqliteStoreTest, a_full_queue_refuses) {
  SqliteStore& store = *try_open(path, {.retention = std::nullopt, .max_waiting = 10}).value();
  Person other(path);
  other.exec("begin immediate");
  auto waiting = asio::co_spawn(context, store.claim(node, std::vector<DutyClaim>(10, claim_of(5)), within(500ms)),
                                asio::use_future);
  while (context.poll() > 0) continue;
  const auto refused = claim(store, {claim_of(6)});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(says(refused.error().reason, "too many requests"));
  while (waiting.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
  EXPECT_FALSE(waiting.get());
  other.exec("commit");
  // A call whose caller has given up leaves the queue as soon as the worker looks at it.
  const auto end = within(10s);
  auto accepted = claim(store, {claim_of(6)});
  while (!accepted && clock->now() < end) accepted = claim(store, {claim_of(6)});
  EXPECT_TRUE(accepted);
}

TEST_F(SqliteStoreTest, a_call_that_comes_just_before_the_store_is_closed_is_answered) {
  for (int round = 0; round < 20; ++round) {
    SqliteStore& store = open();
    auto claimed = asio::co_spawn(context, store.claim(node, {claim_of(5)}, within(60s)), asio::use_future);
    while (context.poll() > 0) continue;
    run(store.close());
    const auto end = within(10s);
    while (claimed.wait_for(0s) != std::future_status::ready && clock->now() < end) context.run_one_for(10ms);
    ASSERT_EQ(claimed.wait_for(0s), std::future_status::ready) << "round " << round;
    const auto answer = claimed.get();
    EXPECT_TRUE(answer || answer.error().kind == StoreErrorKind::kUnavailable);
  }
}

TEST_F(SqliteStoreTest, closing_is_prompt_and_ends_what_waits_with_an_error) {
  SqliteStore& store = open();
  Person other(path);
  other.exec("begin immediate");
  auto waiting = asio::co_spawn(context, store.claim(node, {claim_of(5)}, within(60s)), asio::use_future);
  while (context.poll() > 0) continue;
  const auto start = clock->now();
  run(store.close());
  run(store.close());
  EXPECT_LT(clock->now() - start, 1s);
  while (waiting.wait_for(0s) != std::future_status::ready) context.run_one_for(10ms);
  EXPECT_EQ(waiting.get().error().kind, StoreErrorKind::kUnavailable);
  EXPECT_EQ(claim(store, {claim_of(5)}).error().kind, StoreErrorKind::kUnavailable);
}

/// As long as it lives, no file of this process can grow beyond the limit.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uintmax_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const struct rlimit limit { bytes, before_.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  struct rlimit before_ {};
};

TEST_F(SqliteStoreTest, a_disk_that_takes_no_more_confirms_nothing_and_leaves_no_harm) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  std::vector<DutyClaim> many;
  for (std::uint64_t slot = 100; slot < 600; ++slot) many.push_back(claim_of(slot));
  {
    const FileSizeLimit limit(fs::file_size(path.string() + "-wal") + 2048);
    const auto failed = record(store, {record_of(mine)});
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().kind, StoreErrorKind::kIncompatible);
    EXPECT_FALSE(claim(store, many));
  }
  const auto view = run(store.look({mine.duty.key, many[0].duty.key}, within(10s)));
  ASSERT_TRUE(view);
  EXPECT_EQ((*view)[0].row->status, DutyStatus::kSigning);
  EXPECT_FALSE((*view)[1].row);
  EXPECT_EQ(record(store, {record_of(mine)}).value()[0], RowOutcome::kApplied);
  EXPECT_TRUE(claim(store, many));
  EXPECT_EQ(Person(path).exec("pragma integrity_check"), "ok");
}

/// A disk that a test disturbs, which is sound again afterwards.
struct DisturbedDisk : SqliteStoreTest {
  ~DisturbedDisk() override { disk.go_on(); }
  test::DiskUnderTest& disk = test::DiskUnderTest::instance();
};

TEST_F(DisturbedDisk, every_commit_waits_for_the_log_to_be_on_the_disk) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  for (int tries = 1; tries <= 2; ++tries) {
    (void)disk.take_synced();
    ASSERT_EQ(record(store, {record_of(mine)}).value()[0], RowOutcome::kApplied);
    const auto synced = disk.take_synced();
    EXPECT_EQ(std::ranges::count(synced, fs::path(path.string() + "-wal")), 1) << "record " << tries;
  }
}

TEST_F(DisturbedDisk, a_repeated_signed_claim_is_written_again_and_waits_for_the_disk) {
  SqliteStore& store = open();
  Incarnation incarnation;
  incarnation.bytes()[0] = 1;
  ASSERT_TRUE(run(store.register_node({node, incarnation, 60s}, within(10s)))->registered);
  const SignedClaim mine{claim_of(5).duty, LockToken::make(incarnation, TokenKind::kFenced, {}), Signature{}};
  for (int tries = 1; tries <= 2; ++tries) {
    (void)disk.take_synced();
    ASSERT_EQ(run(store.claim_signed(node, {mine}, within(10s))).value()[0].outcome, RowOutcome::kApplied);
    const auto synced = disk.take_synced();
    EXPECT_EQ(std::ranges::count(synced, fs::path(path.string() + "-wal")), 1) << "signed claim " << tries;
  }
}

/// A process that waits for the file tries again after at most 1 ms, so it finds the file free.
TEST_F(DisturbedDisk, a_store_leaves_the_file_to_a_process_that_waits_after_each_of_its_transactions) {
  SqliteStore& store = open();
  disk.take_no_time();
  const auto other = NodeLocks::open(path.string() + "-nodes").value();
  other->announce_waiting();
  constexpr std::uint64_t kTransactions = 50;
  const auto start = clock->now();
  for (std::uint64_t slot = 0; slot < kTransactions; ++slot) ASSERT_TRUE(claim(store, {claim_of(slot)}));
  EXPECT_GE(clock->now() - start, (kTransactions - 1) * 1ms);
}

TEST_F(DisturbedDisk, a_write_that_runs_at_its_deadline_is_in_doubt) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  disk.stand_still();
  const auto outcome = record(store, {record_of(mine)}, 200ms);
  disk.go_on();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kInDoubt);
  const auto view = run(store.look({mine.duty.key}, within(10s)));
  ASSERT_TRUE(view);
  EXPECT_EQ((*view)[0].row->status, DutyStatus::kSigned);
}

TEST_F(DisturbedDisk, a_commit_that_fails_is_in_doubt) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  disk.break_down();
  const auto outcome = record(store, {record_of(mine)});
  disk.go_on();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kInDoubt);
  EXPECT_EQ(record(store, {record_of(mine)}).value()[0], RowOutcome::kApplied);
}

TEST_F(DisturbedDisk, what_was_committed_while_another_file_took_the_databases_place_is_not_confirmed) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  fs::copy(path, folder / "backup.db");
  disk.stand_still();
  auto recording = asio::co_spawn(context, store.record({record_of(mine)}, within(10s)), asio::use_future);
  context.restart();
  while (context.poll() > 0) continue;
  disk.wait_until_asked();
  fs::rename(folder / "backup.db", path);
  disk.go_on();
  while (recording.wait_for(0s) != std::future_status::ready) {
    context.restart();
    context.run_one_for(10ms);
  }
  const auto outcome = recording.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
}

/// Runs a thousand times as fast as that of the worker, whose deadlines are then far away when a caller's pass.
class FastClock final : public Clock {
 public:
  explicit FastClock(asio::any_io_executor executor) : real_(std::move(executor)), start_(real_.now()) {}
  MonotonicTime now() const override { return start_ + kTimes * (real_.now() - start_); }
  TimerId call_at(MonotonicTime time, std::move_only_function<void()> callback) override {
    return real_.call_at(start_ + (time - start_) / kTimes, std::move(callback));
  }
  void cancel(TimerId id) override { real_.cancel(id); }

 private:
  static constexpr int kTimes = 1'000;
  SystemClock real_;
  MonotonicTime start_;
};

TEST_F(DisturbedDisk, what_was_called_unavailable_is_not_carried_out_afterwards) {
  const auto fast = std::make_shared<FastClock>(context.get_executor());
  auto opened = run(SqliteStore::open(path.string(), fast, context.get_executor(), {}, fast->now() + 10'000s));
  ASSERT_TRUE(opened);
  stores.push_back(*opened);
  SqliteStore& store = **opened;
  disk.stand_still();
  auto first = asio::co_spawn(context, store.claim(node, {claim_of(5)}, fast->now() + 20'000s), asio::use_future);
  context.restart();
  while (context.poll() > 0) continue;
  disk.wait_until_asked();
  const auto second = run(store.claim(node, {claim_of(6)}, fast->now() + 200s));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, StoreErrorKind::kUnavailable);
  disk.go_on();
  while (first.wait_for(0s) != std::future_status::ready) {
    context.restart();
    context.run_one_for(10ms);
  }
  EXPECT_TRUE(first.get());
  const auto view = run(store.look({claim_of(5).duty.key, claim_of(6).duty.key}, fast->now() + 20'000s));
  ASSERT_TRUE(view);
  EXPECT_TRUE((*view)[0].row);
  EXPECT_FALSE((*view)[1].row);
}

TEST_F(SqliteStoreTest, another_cluster_that_is_restored_into_the_open_file_confirms_nothing) {
  SqliteStore& store = open();
  const DutyClaim mine = claim_of(5);
  ASSERT_TRUE(claim(store, {mine}));
  const fs::path elsewhere = folder / "elsewhere.db";
  ASSERT_TRUE(claim(*try_open(elsewhere).value(), {mine}));
  Person(path).restore(elsewhere);
  const auto outcome = record(store, {record_of(mine)});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_TRUE(says(outcome.error().reason, "another cluster")) << outcome.error().reason;
  EXPECT_FALSE(run(store.look({mine.duty.key}, within(10s))));
}

TEST_F(SqliteStoreTest, every_descriptor_is_closed_on_exec) {
  open();
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const auto target = fs::read_symlink(entry.path(), error);
    if (error || !says(target.string(), folder.string())) continue;
    EXPECT_TRUE(::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC) << target;
  }
}

TEST_F(SqliteStoreTest, the_log_does_not_grow_without_end) {
  SqliteStore& store = open();
  for (std::uint64_t round = 0; round < 60; ++round) {
    std::vector<DutyClaim> claims;
    for (std::uint64_t i = 0; i < 500; ++i) claims.push_back(claim_of(round * 500 + i));
    ASSERT_TRUE(claim(store, std::move(claims)));
  }
  EXPECT_LT(fs::file_size(path.string() + "-wal"), 16U << 20);
}

TEST_F(SqliteStoreTest, every_lookup_of_a_duty_is_a_search_of_an_index) {
  open();
  Person person(path);
  const std::string key =
      "rollup_address = 'a' and slot = 1 and duty_type = 'x' and validator_address = 'v' and "
      "block_index_within_checkpoint = -1";
  for (const std::string& statement :
       {"select status from validator_duties where " + key,
        "update validator_duties set status = 'signed' where " + key, "delete from validator_duties where " + key}) {
    const std::string plan = person.exec("explain query plan " + statement);
    EXPECT_TRUE(says(plan,
                     "SEARCH validator_duties USING INDEX sqlite_autoindex_validator_duties_1 (rollup_address=? AND "
                     "slot=? AND duty_type=? AND validator_address=? AND block_index_within_checkpoint=?)"))
        << plan;
  }
}

}  // namespace
}  // namespace hasigner::sqlite
