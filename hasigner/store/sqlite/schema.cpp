#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::sqlite {
namespace {

/// Errors: UnusableDatabase.
std::int64_t version_of(Connection& connection, const std::string& path) {
  const std::int64_t application = connection.integer("pragma application_id");
  const std::int64_t version = connection.integer("pragma user_version");
  if (application == kApplicationId) {
    if (version > schema_version()) {
      throw UnusableDatabase("the database \"" + path +
                             "\" was made by a newer version of this program (its schema is " +
                             std::to_string(version) + ", this program knows " + std::to_string(schema_version()) +
                             "): use the newer program");
    }
    return version;
  }
  const bool is_empty = connection.integer("select count(*) from sqlite_schema") == 0;
  if (application != 0 || version != 0 || !is_empty) {
    throw UnusableDatabase("\"" + path + "\" is the SQLite database of another program: name another file");
  }
  return 0;
}

void rollback(Connection& connection) {
  if (connection.in_transaction()) connection.execute("rollback");
}

}  // namespace

void bring_up_to_date(Connection& connection, const std::string& path) {
  std::int64_t version = version_of(connection, path);
  if (connection.text("pragma journal_mode=wal") != "wal") {
    throw UnusableDatabase("the file system of \"" + path +
                           "\" cannot share a write-ahead log: put the database on a local disk");
  }
  if (version == schema_version()) return;

  connection.execute("begin immediate");
  try {
    // Another process may have been quicker.
    for (version = version_of(connection, path); version < schema_version(); ++version) {
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

}  // namespace hasigner::sqlite
