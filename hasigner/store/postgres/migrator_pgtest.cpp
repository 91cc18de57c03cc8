#include "hasigner/store/postgres/migrator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "hasigner/store/postgres/schema_files.hpp"
#include "tests/support/postgres_server.hpp"

namespace hasigner::postgres {
namespace {

using test::PostgresServer;
using test::SqlSession;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Migrator migrator_of(const std::string& url, milliseconds lock_wait = milliseconds(5000)) {
  auto migrator = Migrator::create(url, {.lock_wait = lock_wait});
  if (!migrator) throw std::runtime_error(migrator.error().message());
  return std::move(*migrator);
}

struct Database {
  PostgresServer& server = PostgresServer::shared();
  std::string name = server.create_database();
  std::string url = server.url(name);
  Migrator migrator = migrator_of(url);

  std::string sql(const std::string& statements) const { return server.sql(statements, name); }
  std::string refusal() {
    const auto before = sql("select count(*) from pg_class");
    const auto report = migrator.up();
    if (report) return "accepted";
    EXPECT_EQ(report.error().kind, MigrationErrorKind::kNotThisDatabase) << report.error().message;
    EXPECT_EQ(sql("select count(*) from pg_class"), before);
    const auto status = migrator.status();
    EXPECT_FALSE(status);
    return report.error().message;
  }
};

std::string a_duty(const std::string& node, const std::string& token = std::string(32, '7')) {
  return "insert into validator_duties (rollup_address, validator_address, slot, block_number, "
         "block_index_within_checkpoint, "
         "duty_type, status, message_hash, node_id, lock_token) values ('r', 'v', 1, 0, -1, 'ATTESTATION', 'signed', "
         "'h', '" +
         node + "', '" + token + "')";
}

TEST(Migrator, goes_up_to_the_newest_version_and_makes_our_own_objects) {
  Database database;
  auto report = database.migrator.up();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->names, ElementsAre("1_initial-schema", "2_add-checkpoint-number", "3_add-duty-expiry"));
  EXPECT_TRUE(report->own_objects_made);
  EXPECT_EQ(database.sql("select version from schema_version"), "3");
  EXPECT_EQ(database.sql("select count(*) from ha_signer_cluster"), "1");

  report = database.migrator.up();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->names, IsEmpty());
  EXPECT_FALSE(report->own_objects_made);
  EXPECT_EQ(database.sql("select name from pgmigrations order by id"),
            "1_initial-schema\n2_add-checkpoint-number\n3_add-duty-expiry");
}

TEST(Migrator, goes_up_to_the_version_that_is_asked_for_and_down_one_at_a_time) {
  Database database;
  auto report = database.migrator.up({.to = 2});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->names, ElementsAre("1_initial-schema", "2_add-checkpoint-number"));
  EXPECT_EQ(database.sql("select version from schema_version"), "2");
  const auto cluster = database.sql("select cluster_id from ha_signer_cluster");

  EXPECT_THAT(database.migrator.down()->names, ElementsAre("2_add-checkpoint-number"));
  EXPECT_EQ(database.sql("select version from schema_version"), "1");
  EXPECT_THAT(database.migrator.down()->names, ElementsAre("1_initial-schema"));
  EXPECT_THAT(database.migrator.down()->names, IsEmpty());
  EXPECT_EQ(database.sql("select cluster_id from ha_signer_cluster"), cluster);

  report = database.migrator.up({.to = 1});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->names, ElementsAre("1_initial-schema"));
  EXPECT_TRUE(report->own_objects_made);
  EXPECT_EQ(database.sql("select cluster_id from ha_signer_cluster"), cluster);
}

TEST(Migrator, status_says_what_is_there_and_what_is_pending) {
  Database database;
  auto status = database.migrator.status();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->version, std::nullopt);
  EXPECT_THAT(status->pending, ElementsAre("1_initial-schema", "2_add-checkpoint-number", "3_add-duty-expiry"));
  EXPECT_EQ(status->own_missing.size(), 29u);
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  status = database.migrator.status();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->version, 1);
  EXPECT_THAT(status->applied, ElementsAre("1_initial-schema"));
  EXPECT_THAT(status->pending, ElementsAre("2_add-checkpoint-number", "3_add-duty-expiry"));
  EXPECT_THAT(status->own_missing, IsEmpty());
}

TEST(Migrator, takes_back_only_what_was_consented_to) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 2}));
  ASSERT_TRUE(migrator_of(database.url).down()) << "another run comes between";
  const auto refused = database.migrator.down("2_add-checkpoint-number");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is 1_initial-schema now and was 2_add-checkpoint-number"));
  EXPECT_EQ(database.sql("select version from schema_version"), "1");
  EXPECT_THAT(database.migrator.down("1_initial-schema")->names, ElementsAre("1_initial-schema"));
}

TEST(Migrator, refuses_versions_that_do_not_exist) {
  Database database;
  EXPECT_FALSE(database.migrator.up({.to = 0}));
  EXPECT_FALSE(database.migrator.up({.to = 4}));
}

TEST(Migrator, asks_before_it_locks_out_nodes_at_work) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  database.sql(a_duty("an-older-node"));
  auto report = database.migrator.up();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kNodesAtWork);
  EXPECT_THAT(report.error().message, HasSubstr("an-older-node"));
  EXPECT_EQ(database.sql("select version from schema_version"), "1");
  EXPECT_THAT(database.migrator.status()->nodes_at_work, ElementsAre("an-older-node"));
  ASSERT_TRUE(database.migrator.up({.to = 2}));
  ASSERT_TRUE(database.migrator.up({.while_nodes_work = WhileNodesWork::kMigrate}));
  EXPECT_EQ(database.sql("select version from schema_version"), "3");
}

TEST(Migrator, our_own_nodes_and_old_rows_ask_nothing) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  database.sql(a_duty("ours", "0123456789abcdef" + std::string(16, '0')));
  database.sql(
      "insert into ha_signer_nodes values ('ours', 'ffffffffffffffff', '{0123456789abcdef}', now(), now(), now(), "
      "null)");
  ASSERT_TRUE(database.migrator.up());
  Database old;
  ASSERT_TRUE(old.migrator.up({.to = 1}));
  old.sql(a_duty("gone") + "; update validator_duties set started_at = now() - interval '3 days'");
  ASSERT_TRUE(old.migrator.up());
}

TEST(Migrator, completes_a_database_that_was_set_up_without_a_tool) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 3}));
  database.sql("drop table pgmigrations");
  const auto report = database.migrator.up();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->names.size(), 3u);
  EXPECT_EQ(database.sql("select version from schema_version"), "3");
}

TEST(Migrator, refuses_a_database_of_a_newer_version) {
  Database database;
  ASSERT_TRUE(database.migrator.up());
  database.sql("update schema_version set version = 4");
  EXPECT_THAT(database.refusal(), HasSubstr("version 4, this program knows up to version 3"));
  database.sql(
      "update schema_version set version = 3; insert into pgmigrations (name, run_on) values ('4_more', now())");
  EXPECT_THAT(database.refusal(), HasSubstr("4_more"));
}

TEST(Migrator, names_a_database_of_the_4_0_0_nightly) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  database.sql("alter table validator_duties drop column rollup_address cascade");
  EXPECT_THAT(database.refusal(), HasSubstr("4.0.0 nightly"));
}

TEST(Migrator, refuses_what_is_something_else) {
  Database other_version_table;
  other_version_table.sql("create table schema_version (id int, version text)");
  EXPECT_THAT(other_version_table.refusal(), HasSubstr("schema_version belongs to something else"));

  Database version_without_duties;
  version_without_duties.sql(
      "create table schema_version (version integer primary key, applied_at timestamp); insert into schema_version "
      "values (2, now())");
  EXPECT_THAT(version_without_duties.refusal(), HasSubstr("no table validator_duties"));

  Database other_duties;
  other_duties.sql("create table validator_duties (id int)");
  EXPECT_THAT(other_duties.refusal(), HasSubstr("validator_duties belongs to something else"));

  Database view;
  view.sql("create view validator_duties as select 1 as slot");
  EXPECT_THAT(view.refusal(), HasSubstr("is a view"));

  Database unlogged;
  ASSERT_TRUE(unlogged.migrator.up());
  unlogged.sql("alter table validator_duties set unlogged");
  EXPECT_THAT(unlogged.refusal(), HasSubstr("an unlogged table"));

  Database several;
  ASSERT_TRUE(several.migrator.up());
  several.sql("create schema other; create table other.validator_duties (id int); alter database " + several.name +
              " set search_path = public, other");
  EXPECT_THAT(several.refusal(), HasSubstr("several tables validator_duties"));

  Database halved;
  ASSERT_TRUE(halved.migrator.up());
  halved.sql("drop table validator_duties, schema_version");
  EXPECT_THAT(halved.refusal(), HasSubstr("there is no table schema_version: it was dropped"));
}

TEST(Migrator, makes_no_second_set_of_tables_beside_one_that_the_search_path_does_not_show) {
  Database database;
  database.sql("create schema duties");
  const std::string path =
      database.url.contains('?') ? "&options=-csearch_path%3Dduties" : "?options=-csearch_path%3Dduties";
  ASSERT_TRUE(migrator_of(database.url + path).up());
  EXPECT_THAT(database.refusal(), HasSubstr("in schema duties; write options=-csearch_path%3Dduties into the URL"));
  // Not even where the list of migrations is missing, as it is after a restore of one schema.
  database.sql("drop table pgmigrations");
  EXPECT_THAT(database.refusal(), HasSubstr("in schema duties"));
}

TEST(Migrator, a_dropped_table_is_not_made_anew_and_the_way_out_works) {
  Database database;
  ASSERT_TRUE(database.migrator.up());
  database.sql("drop table validator_duties");
  const auto refusal = database.refusal();
  EXPECT_THAT(refusal, HasSubstr("restore the database from a backup"));
  for (const std::string statement : {"drop table if exists schema_version", "delete from public.pgmigrations"}) {
    EXPECT_THAT(refusal, HasSubstr(statement));
    database.sql(statement);
  }
  auto report = database.migrator.up();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->names.size(), 3u);

  // Nor where the shared tables were dropped with the list: the ha_signer tables tell that there was something.
  database.sql("drop table validator_duties, schema_version, pgmigrations");
  const auto of_all = database.refusal();
  EXPECT_THAT(of_all, HasSubstr("the ha_signer tables are there"));
  const std::string statement =
      "create table public.pgmigrations (id serial primary key, name varchar(255) not null, run_on timestamp not null)";
  EXPECT_THAT(of_all, HasSubstr(statement));
  database.sql(statement);
  report = database.migrator.up();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->names.size(), 3u);
}

TEST(Migrator, a_version_that_is_gone_is_put_back_by_the_statement_that_the_refusal_has) {
  for (const std::string loss : {"drop table schema_version", "truncate schema_version"}) {
    Database database;
    ASSERT_TRUE(database.migrator.up({.to = 2}));
    database.sql(a_duty("kept") + ";" + loss);
    const auto refusal = database.refusal();
    EXPECT_THAT(refusal, AllOf(HasSubstr("The duties are there"), Not(HasSubstr("backup")))) << loss;
    const std::string_view words = "run as their owner: ";
    database.sql(refusal.substr(refusal.find(words) + words.size()));
    const auto status = database.migrator.status();
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(status->version, 2);
    EXPECT_EQ(database.sql("select count(*) from validator_duties"), "1");
  }
}

TEST(Migrator, names_the_right_that_is_missing_and_the_statement_that_grants_it) {
  Database database;
  const std::string role = database.name + "_owner";
  database.sql("create role " + role + " login; grant all privileges on database " + database.name + " to " + role +
               "; revoke create on schema public from public");
  auto migrator = migrator_of(database.server.url(database.name, role));
  auto report = migrator.up();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kFailed);
  EXPECT_THAT(report.error().message, HasSubstr("permission denied for schema public"));
  const std::string statement = "grant usage, create on schema public to " + role;
  EXPECT_THAT(report.error().message, HasSubstr(statement));
  database.sql(statement);
  report = migrator.up({.to = 1});
  ASSERT_TRUE(report) << report.error().message;

  // The tables of another owner.
  database.sql("alter table validator_duties owner to current_user");
  report = migrator.up({.to = 2});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("alter table validator_duties owner to " + role));
  database.sql("alter table validator_duties owner to " + role);
  report = migrator.up();
  EXPECT_TRUE(report) << report.error().message;

  // A search path that leads nowhere.
  Database other;
  other.sql("alter database " + other.name + " set search_path = nowhere");
  report = other.migrator.up();
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("create schema"));
}

class Rights : public testing::Test {
 protected:
  std::string role(const std::string& name) {
    database.sql("create role \"" + database.name + name + "\" login");
    return database.name + name;
  }
  /// Rights on our tables and functions.
  std::string rights_of(const std::string& role) {
    return database.sql(
        "select coalesce(string_agg(grants, ',' order by grants), '') from (select table_name || ' ' || "
        "lower(privilege_type) as grants from information_schema.role_table_grants where grantee = '" +
        role +
        "' and table_name in ('validator_duties', 'ha_signer_key_switches', 'ha_signer_nodes', 'ha_signer_released', "
        "'ha_signer_watermarks') "
        "union all "
        "select 'function' from information_schema.role_routine_grants where grantee = '" +
        role +
        "' union all select table_name || ' update ' || column_name from information_schema.role_column_grants "
        "where grantee = '" +
        role + "' and table_name = 'ha_signer_released' and privilege_type = 'UPDATE') g");
  }

  Database database;
  const std::string signer =
      "function,function,ha_signer_key_switches insert,ha_signer_key_switches select,ha_signer_key_switches update,"
      "ha_signer_nodes delete,ha_signer_nodes insert,ha_signer_nodes select,ha_signer_nodes update,"
      "ha_signer_released delete,ha_signer_released insert,ha_signer_released select,"
      "ha_signer_released update confirmed_at,ha_signer_released update signature,"
      "ha_signer_watermarks select,validator_duties delete,validator_duties insert,validator_duties select,"
      "validator_duties update";
};

TEST_F(Rights, on_our_tables_are_for_roles_that_are_named) {
  const auto published = role("_published"), named = role("_a \"\"b,{c}\\");
  ASSERT_TRUE(database.migrator.up());
  database.sql("grant select, insert, update, delete on validator_duties to \"" + published + "\"");
  const auto before = rights_of(published);
  std::string name = named;
  name.replace(name.find("\"\""), 2, "\"");
  const auto report = database.migrator.up({.grant_to = {name}});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(rights_of(published), before) << "it may write duties, and no more";
  EXPECT_EQ(rights_of(name), signer);
  EXPECT_THAT(database.migrator.status()->signer_roles, ElementsAre("\"" + named + "\""));

  const auto refused = database.migrator.up({.grant_to = {"nobody_" + database.name}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("role \"nobody_" + database.name + "\" does not exist"));
}

TEST_F(Rights, a_role_that_was_made_a_signer_before_gets_what_is_new) {
  const auto earlier = role("_earlier");
  ASSERT_TRUE(database.migrator.up({.grant_to = {earlier}}));
  database.sql(
      "drop table ha_signer_released, ha_signer_key_switches; drop function ha_signer_claim_signed, "
      "ha_signer_forbid_up_to");
  ASSERT_TRUE(database.migrator.up());
  EXPECT_EQ(rights_of(earlier), signer);
}

TEST_F(Rights, a_signer_that_could_change_every_column_of_what_was_released_can_no_longer) {
  const auto earlier = role("_earlier");
  ASSERT_TRUE(database.migrator.up({.grant_to = {earlier}}));
  database.sql("grant update on ha_signer_released to " + earlier);
  EXPECT_NE(rights_of(earlier), signer);
  ASSERT_TRUE(database.migrator.up());
  EXPECT_EQ(rights_of(earlier), signer);
}

TEST(Migrator, puts_back_a_trigger_that_was_switched_off) {
  Database database;
  ASSERT_TRUE(database.migrator.up());
  database.sql("alter table validator_duties disable trigger all");
  EXPECT_EQ(database.migrator.status()->own_missing.size(), 3u);
  EXPECT_TRUE(database.migrator.up()->own_objects_made);
  EXPECT_THAT(database.migrator.status()->own_missing, IsEmpty());
}

TEST(Migrator, runs_at_the_same_time_do_the_work_once) {
  Database database;
  std::vector<std::future<Migrator::Result>> runs;
  for (int i = 0; i < 8; ++i) {
    runs.push_back(
        std::async(std::launch::async, [&] { return migrator_of(database.url, milliseconds(30'000)).up(); }));
  }
  std::size_t applied = 0;
  for (auto& run : runs) {
    const auto report = run.get();
    ASSERT_TRUE(report) << report.error().message;
    applied += report->names.size();
  }
  EXPECT_EQ(applied, 3u);
  EXPECT_EQ(database.sql("select count(*) from pgmigrations"), "3");
}

TEST(Migrator, waits_for_the_published_tools_lock_only_so_long) {
  Database database;
  SqlSession holder(database.url);
  holder.exec("select pg_advisory_lock(7241865325823964)");
  const auto report = migrator_of(database.url, milliseconds(300)).up();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kBusy);
  EXPECT_THAT(report.error().message, HasSubstr("another migration"));
}

TEST(Migrator, a_locked_table_is_waited_for_in_short_steps) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  SqlSession holder(database.url);
  holder.exec("begin; lock table validator_duties in access share mode");
  auto report = migrator_of(database.url, milliseconds(300)).up({.to = 2});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kBusy) << report.error().message;
  EXPECT_EQ(database.sql("select name from pgmigrations"), "1_initial-schema");
  auto waiting = std::async(std::launch::async, [&] { return migrator_of(database.url).up({.to = 2}); });
  holder.exec("commit");
  report = waiting.get();
  ASSERT_TRUE(report) << report.error().message;
}

/// Holds up every reader of the version, and changes the tables meanwhile.
std::expected<SchemaStatus, MigrationError> status_during(Database& database, const std::string& change) {
  SqlSession holder(database.url);
  holder.exec("begin; lock table schema_version");
  auto asking = std::async(std::launch::async, [&] { return database.migrator.status(); });
  EXPECT_TRUE(test::eventually([&] {
    return holder.exec("select count(*) from pg_locks where relation = 'schema_version'::regclass and not granted") ==
           "1";
  }));
  holder.exec(change + "; commit");
  return asking.get();
}

std::string up_script(int version) {
  for (const Migration& migration : shared_migrations()) {
    if (migration.version == version) return std::string(migration.up);
  }
  throw std::runtime_error("no such version");
}

TEST(Migrator, status_during_a_migration_is_that_of_one_moment) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  const auto status = status_during(
      database, up_script(2) + "; insert into pgmigrations (name, run_on) values ('2_add-checkpoint-number', now())");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->version, 1);
  EXPECT_THAT(status->applied, ElementsAre("1_initial-schema"));
  EXPECT_EQ(database.migrator.status()->version, 2);
}

TEST(Migrator, status_while_the_tables_are_dropped_is_that_of_afterwards) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  const auto status = status_during(database, "drop table validator_duties, schema_version; delete from pgmigrations");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->version, std::nullopt);
  EXPECT_THAT(status->applied, IsEmpty());
}

TEST(Migrator, a_failed_migration_leaves_nothing_of_itself) {
  Database database;
  ASSERT_TRUE(database.migrator.up({.to = 1}));
  database.sql(
      "create index idx_validator_duties_expiry on validator_duties (slot); "
      "create function forbid() returns event_trigger language plpgsql as $$ begin raise exception 'no'; end $$; "
      "create event trigger no_more on ddl_command_end when tag in ('ALTER TABLE') execute function forbid()");
  const auto report = database.migrator.up({.to = 2});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kFailed);
  EXPECT_THAT(report.error().message, HasSubstr("2_add-checkpoint-number: no"));
  EXPECT_EQ(database.sql("select version from schema_version"), "1");
  EXPECT_EQ(database.sql("select name from pgmigrations"), "1_initial-schema");
}

TEST(Migrator, says_why_there_is_no_connection) {
  const auto report =
      migrator_of("postgresql://postgres:a-secret@127.0.0.1:" + std::to_string(test::free_port()) + "/postgres").up();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, MigrationErrorKind::kUnavailable);
  EXPECT_THAT(report.error().message, HasSubstr("Connection refused"));
  EXPECT_THAT(report.error().message, testing::Not(HasSubstr("a-secret")));
}

}  // namespace
}  // namespace hasigner::postgres
