#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace hasigner::sqlite {

/// What SQLite answered instead of doing what it was asked. Stays within this folder: the worker turns it into a
/// StoreError.
class SqliteError : public std::runtime_error {
 public:
  SqliteError(int extended_code, const std::string& message) : std::runtime_error(message), code_(extended_code) {}

  /// Ended because Connection::interrupt_when() said so.
  [[nodiscard]] bool is_interrupted() const;
  /// Another connection holds a lock; asking again helps.
  [[nodiscard]] bool is_busy() const;
  /// This is not a sound database any more, or never was one.
  [[nodiscard]] bool is_damage() const;
  /// The disk, or a limit on the size of files, is full.
  [[nodiscard]] bool is_full() const;
  /// One statement's own fault (a constraint, a value out of range): others in its transaction are not concerned.
  [[nodiscard]] bool is_of_one_statement() const;

 private:
  int code_;
};

/// One connection to a database file.
///
/// Settings: WAL is left to the caller; synchronous=FULL, no waiting for locks (BEGIN answers at once), no automatic
/// checkpoint, schema not trusted. Everything is opened close-on-exec.
/// Thread safety: one thread at a time.
class Connection {
 public:
  /// `path` must be absolute and resolved, and the file must be there. Errors: SqliteError.
  explicit Connection(const std::string& path);
  /// Opens it for reads that change nothing, not even the log. A log that is there is read too: then SQLite may make
  /// the log's index anew, as any reader does.
  [[nodiscard]] static Connection to_look_at(const std::string& path);

  void execute(const char* sql);
  [[nodiscard]] std::int64_t integer(const char* sql);
  [[nodiscard]] std::string text(const char* sql);

  [[nodiscard]] bool is_read_only() const;
  /// Whether the path no longer leads to the file that is open.
  [[nodiscard]] bool has_moved() const;
  [[nodiscard]] bool in_transaction() const;
  /// Rows that the last insert, update or delete changed.
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] std::int64_t last_rowid() const;
  /// Pages in the write-ahead log after the last commit.
  [[nodiscard]] int wal_pages() const { return *wal_pages_; }
  /// Copies the log into the database as far as readers and writers allow. Does not wait for them.
  void checkpoint();

  /// Asks now and then, while a statement runs, whether it is to end with an error; empty: never.
  void interrupt_when(std::function<bool()> is_over);

  [[nodiscard]] sqlite3* handle() const { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  Connection(const std::string& name, int flags);

  std::unique_ptr<int> wal_pages_;
  std::unique_ptr<std::function<bool()>> is_over_ = std::make_unique<std::function<bool()>>();
  std::unique_ptr<sqlite3, Close> db_;
};

/// One run of a statement. Its end gives the statement back.
class Run {
 public:
  explicit Run(sqlite3_stmt* statement) : statement_(statement) {}
  Run(Run&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Run& operator=(Run&&) = delete;
  ~Run();

  /// Returns false when there are no more rows. Errors: SqliteError.
  bool next();
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  /// Valid until the next row.
  [[nodiscard]] std::span<const std::uint8_t> bytes(int column) const;
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;
  [[nodiscard]] std::optional<std::string> optional_text(int column) const;

 private:
  sqlite3_stmt* statement_;
};

/// A statement of a connection, prepared when it is first used. Both must outlive its runs.
class Statement {
 public:
  Statement(Connection& connection, std::string sql) : connection_(connection), sql_(std::move(sql)) {}

  /// Starts a run with these values for ?1, ?2 and so on. Errors: SqliteError.
  template <class... Values>
  [[nodiscard]] Run start(const Values&... values) {
    prepare();
    Run run(statement_.get());
    int index = 0;
    (bind(++index, values), ...);
    return run;
  }
  /// Runs it to its end; for statements without rows. Gives the number of changed rows.
  template <class... Values>
  std::int64_t run(const Values&... values) {
    {
      Run run = start(values...);
      while (run.next()) continue;
    }
    return connection_.changes();
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  void prepare();
  void bind(int index, std::string_view text);
  void bind(int index, const std::string& text) { bind(index, std::string_view(text)); }
  void bind(int index, const char* text) { bind(index, std::string_view(text)); }
  void bind(int index, std::span<const std::uint8_t> bytes);
  template <std::size_t N>
  void bind(int index, const std::array<std::uint8_t, N>& bytes) {
    bind(index, std::span<const std::uint8_t>(bytes));
  }
  void bind(int index, std::int64_t value);
  void bind(int index, std::int32_t value) { bind(index, std::int64_t{value}); }
  void bind(int index, std::nullopt_t);
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    value ? bind(index, *value) : bind(index, std::nullopt);
  }

  Connection& connection_;
  std::string sql_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace hasigner::sqlite
