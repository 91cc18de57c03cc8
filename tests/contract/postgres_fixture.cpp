#include <array>
#include <stdexcept>

#include "hasigner/factory/open_store.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "tests/contract/store_under_test.hpp"
#include "tests/support/postgres_server.hpp"

namespace hasigner::contract {
namespace {

using test::PostgresServer;

/// Databases with tables of one version that no test uses now: cleaning one is much quicker than making one.
std::vector<std::string>& free_databases(int schema_version) {
  static std::array<std::vector<std::string>, 4> names;
  return names.at(static_cast<std::size_t>(schema_version));
}

std::string empty_database(int schema_version) {
  PostgresServer& server = PostgresServer::shared();
  auto& names = free_databases(schema_version);
  if (!names.empty()) {
    const std::string name = names.back();
    names.pop_back();
    server.sql("delete from validator_duties; delete from ha_signer_watermarks; delete from ha_signer_nodes", name);
    return name;
  }
  const std::string name = server.create_database();
  auto migrator = postgres::Migrator::create(server.url(name));
  const auto report = migrator->up({.to = schema_version});
  if (!report) throw std::runtime_error(report.error().message);
  return name;
}

class PostgresUnderTest final : public SqlUnderTest {
 public:
  PostgresUnderTest(int schema_version, asio::any_io_executor executor)
      : SqlUnderTest(schema_version),
        schema_version_(schema_version),
        executor_(executor),
        clock_(std::make_shared<SystemClock>(executor)),
        database_(empty_database(schema_version)) {}

  ~PostgresUnderTest() override { free_databases(schema_version_).push_back(database_); }

  [[nodiscard]] std::shared_ptr<Clock> clock() override { return clock_; }
  [[nodiscard]] asio::awaitable<Connection> connect() override {
    StoreSettings settings;
    settings.database_url = *url();
    settings.pool.max = 3;
    auto opened = co_await open_store(std::move(settings), executor_, clock_);
    co_return Connection{opened.store, opened.history};
  }
  void kill(Connection& connection, const std::string& node_id) override {
    killed_.push_back(std::move(connection));
    connection = {};
    exec("update ha_signer_nodes set lease_until = now() - interval '1 second' where node_id = '" + node_id + "'");
  }
  void put_lease_ahead(const std::string& node_id) override {
    exec("update ha_signer_nodes set lease_until = now() + interval '1 hour' where node_id = '" + node_id + "'");
  }
  [[nodiscard]] std::optional<std::string> url() const override { return PostgresServer::shared().url(database_); }

 protected:
  std::string exec(const std::string& sql) override {
    if (!person_) person_ = std::make_unique<test::SqlSession>(*url());
    return person_->exec(sql);
  }

 private:
  int schema_version_;
  asio::any_io_executor executor_;
  std::shared_ptr<SystemClock> clock_;
  std::string database_;
  std::unique_ptr<test::SqlSession> person_;
  std::vector<Connection> killed_;  ///< their pools end with their executor
};

}  // namespace

Kind postgres_kind(int schema_version) {
  return {"postgres_" + std::to_string(schema_version), [schema_version](asio::any_io_executor executor) {
            return std::make_unique<PostgresUnderTest>(schema_version, std::move(executor));
          }};
}

}  // namespace hasigner::contract
