#include "hasigner/store/sqlite/connection.hpp"

#include <sqlite3.h>

#include <filesystem>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {
namespace {

/// The result code without its details.
int primary(int code) {
  return code & 0xff;
}

/// Of a message about a damaged file, which shows bytes of it.
constexpr std::size_t kLongestMessage = 500;

[[noreturn]] void fail(sqlite3* db, int code) {
  throw SqliteError(code, printable(db ? sqlite3_errmsg(db) : sqlite3_errstr(code), kLongestMessage));
}

void require(sqlite3* db, int code) {
  if (code != SQLITE_OK) fail(db, sqlite3_extended_errcode(db));
}

/// Of SQLite's virtual machine: some 0.1 ms.
constexpr int kStepsBetweenQuestions = 5'000;

int note_wal_pages(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

bool SqliteError::is_interrupted() const {
  return primary(code_) == SQLITE_INTERRUPT;
}

bool SqliteError::is_busy() const {
  // PROTOCOL is what remains of a lost race for the locks of the write-ahead log.
  return primary(code_) == SQLITE_BUSY || primary(code_) == SQLITE_LOCKED || primary(code_) == SQLITE_PROTOCOL;
}

bool SqliteError::is_damage() const {
  return primary(code_) == SQLITE_CORRUPT || primary(code_) == SQLITE_NOTADB || code_ == SQLITE_READONLY_DBMOVED;
}

bool SqliteError::is_full() const {
  return primary(code_) == SQLITE_FULL;
}

bool SqliteError::is_of_one_statement() const {
  const int code = primary(code_);
  return code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH || code == SQLITE_TOOBIG || code == SQLITE_RANGE;
}

Connection::Connection(const std::string& name, int flags) : wal_pages_(std::make_unique<int>(0)) {
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(
      name.c_str(), &db,
      flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, nullptr);
  db_.reset(db);
  if (code != SQLITE_OK) fail(db, code);
  require(db, sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr));
  require(db, sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr));
  require(db, sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr));
  require(db, sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr));
  sqlite3_busy_timeout(db, 0);
}

Connection::Connection(const std::string& path) : Connection(path, SQLITE_OPEN_READWRITE) {
  sqlite3_wal_hook(db_.get(), note_wal_pages, wal_pages_.get());
  execute(statement("connection_settings").c_str());
}

Connection Connection::to_look_at(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    // What ends the path of a URI, and what begins an escape.
    if (c == '?') {
      uri += "%3f";
    } else if (c == '#') {
      uri += "%23";
    } else if (c == '%') {
      uri += "%25";
    } else {
      uri += c;
    }
  }
  std::error_code error;
  const auto log_bytes = std::filesystem::file_size(path + "-wal", error);
  // Without a log no process has the file open to write.
  if (error || log_bytes == 0) uri += "?immutable=1";
  return {uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI};
}

void Connection::Close::operator()(sqlite3* db) const {
  // Statements are gone before their connection; anything else would leave the file locked.
  const int code = sqlite3_close(db);
  HASIGNER_ASSERT(code == SQLITE_OK);
}

void Connection::execute(const char* sql) {
  require(db_.get(), sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr));
}

std::int64_t Connection::integer(const char* sql) {
  Statement statement(*this, sql);
  Run run = statement.start();
  return run.next() ? run.integer(0) : 0;
}

std::string Connection::text(const char* sql) {
  Statement statement(*this, sql);
  Run run = statement.start();
  return run.next() ? run.text(0) : std::string();
}

void Connection::interrupt_when(std::function<bool()> is_over) {
  *is_over_ = std::move(is_over);
  const auto ask = [](void* asked) { return (*static_cast<std::function<bool()>*>(asked))() ? 1 : 0; };
  sqlite3_progress_handler(db_.get(), kStepsBetweenQuestions, *is_over_ ? +ask : nullptr, is_over_.get());
}

bool Connection::is_read_only() const {
  return sqlite3_db_readonly(db_.get(), "main") == 1;
}

bool Connection::has_moved() const {
  int moved = 0;
  return sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved != 0;
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(db_.get()) == 0;
}

std::int64_t Connection::changes() const {
  return sqlite3_changes64(db_.get());
}

std::int64_t Connection::last_rowid() const {
  return sqlite3_last_insert_rowid(db_.get());
}

void Connection::checkpoint() {
  int pages = 0, copied = 0;
  // It is not an error when it cannot: the log stays, and the next commit tries again.
  if (sqlite3_wal_checkpoint_v2(db_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &copied) == SQLITE_OK &&
      pages == copied) {
    *wal_pages_ = 0;
  }
}

Run::~Run() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Run::next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* db = sqlite3_db_handle(statement_);
  fail(db, sqlite3_extended_errcode(db));
}

std::int64_t Run::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string Run::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (!text) return {};
  return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::span<const std::uint8_t> Run::bytes(int column) const {
  const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Run::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::optional<std::int64_t> Run::optional_integer(int column) const {
  return is_null(column) ? std::nullopt : std::optional(integer(column));
}

std::optional<std::string> Run::optional_text(int column) const {
  return is_null(column) ? std::nullopt : std::optional(text(column));
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Statement::prepare() {
  if (statement_) return;
  sqlite3_stmt* statement = nullptr;
  require(connection_.handle(),
          sqlite3_prepare_v3(connection_.handle(), sql_.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
  statement_.reset(statement);
}

void Statement::bind(int index, std::string_view text) {
  require(connection_.handle(),
          sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind(int index, std::span<const std::uint8_t> bytes) {
  require(connection_.handle(),
          sqlite3_bind_blob64(statement_.get(), index, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
}

void Statement::bind(int index, std::int64_t value) {
  require(connection_.handle(), sqlite3_bind_int64(statement_.get(), index, value));
}

void Statement::bind(int index, std::nullopt_t) {
  require(connection_.handle(), sqlite3_bind_null(statement_.get(), index));
}

}  // namespace hasigner::sqlite
