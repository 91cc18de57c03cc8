#include "hasigner/store/sqlite/schema.hpp"

#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {

FileFacts facts_of(Connection& connection) {
  Statement reading(connection, statement("schema_facts"));
  Run run = reading.start();
  if (!run.next()) return {};
  return {run.integer(0), run.integer(1), run.integer(2) == 0};
}

std::int64_t known_version(Connection& connection, const std::string& path) {
  const FileFacts facts = facts_of(connection);
  if (facts.application == kApplicationId) {
    if (facts.version > schema_version()) {
      throw UnusableDatabase("the database \"" + path +
                             "\" was made by a newer version of this program (its schema is " +
                             std::to_string(facts.version) + ", this program knows " +
                             std::to_string(schema_version()) + "): use the newer program");
    }
    return facts.version;
  }
  if (facts.application != 0 || facts.version != 0 || !facts.is_empty) {
    throw UnusableDatabase("\"" + path + "\" is the SQLite database of another program: name another file");
  }
  return 0;
}

namespace {

void rollback(Connection& connection) {
  if (connection.in_transaction()) connection.execute("rollback");
}

void migrate(Connection& connection, const std::string& path) {
  std::int64_t version = known_version(connection, path);
  if (connection.text("pragma journal_mode=wal") != "wal") {
    throw UnusableDatabase("the file system of \"" + path +
                           "\" cannot share a write-ahead log: put the database on a local disk");
  }
  if (version == schema_version()) return;

  connection.execute("begin immediate");
  try {
    // Another process may have been quicker.
    for (version = known_version(connection, path); version < schema_version(); ++version) {
      connection.execute(migrations()[static_cast<std::size_t>(version)]);
    }
    connection.execute(("pragma application_id=" + std::to_string(kApplicationId)).c_str());
    connection.execute(("pragma user_version=" + std::to_string(version)).c_str());
    connection.execute("commit");
  } catch (...) {
    rollback(connection);
    throw;
  }
}

}  // namespace

void bring_up_to_date(Connection& connection, const std::string& path) {
  migrate(connection, path);
  connection.execute(statement("key_switches_table").c_str());
}

}  // namespace hasigner::sqlite
