#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;

namespace hasigner::test {

/// A blocking session beside the code under test: the person with psql, the other client, the holder of a lock.
///
/// Errors: std::runtime_error with the server's message.
class SqlSession {
 public:
  explicit SqlSession(const std::string& url);

  /// Runs statements to their end. Returns the rows of the last one: columns separated by `|`, rows by a new line, NULL
  /// empty.
  std::string exec(const std::string& sql);
  /// Sends a statement and does not wait for it; finish() does.
  void send(const std::string& sql);
  /// Whether the statement sent is still at work.
  [[nodiscard]] bool busy();
  std::string finish();
  [[nodiscard]] int process_id() const;

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, Finish> connection_;
};

struct PostgresOptions {
  bool fsync = false;
  std::vector<std::string> settings;      ///< further lines of postgresql.conf
  std::vector<std::string> access_rules;  ///< lines of pg_hba.conf before those that trust every user
};

enum class StopMode : std::uint8_t { kFast, kImmediate };

/// A PostgreSQL server of a test's own, in a temporary folder, on a free port of the loopback interface. Its databases
/// are in UTF8, or in the encoding HASIGNER_PG_ENCODING if that is set.
///
/// It is a child process that ends with the thread that started it, so make it in the main thread. When the test runs
/// as root, the server runs as the user postgres. All waits are bounded. Errors: std::runtime_error with the end of the
/// server's log.
class PostgresServer {
 public:
  explicit PostgresServer(PostgresOptions options = {});
  /// A streaming standby, started. It becomes synchronous by set_synchronous_standby() of its primary.
  PostgresServer(PostgresServer& primary, const std::string& name);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  /// One for the whole test program, so that initdb is paid for once. Never stop it; make databases in it.
  static PostgresServer& shared();

  void start();
  void stop(StopMode mode = StopMode::kFast);
  void restart(StopMode mode = StopMode::kFast);
  /// As if the machine had lost its power: no process of the server gets to do anything any more.
  void kill();
  /// All processes of the server stand still, sockets stay open.
  void freeze();
  void thaw();
  void promote();

  /// Makes commits wait for this standby; an empty name ends that.
  void set_synchronous_standby(const std::string& name);
  /// Adds a setting by ALTER SYSTEM and reloads.
  void set(const std::string& name, const std::string& value);

  /// Makes a key and a certificate for this host name (data/server.key, data/server.crt); `set("ssl", "on")` uses them.
  void make_certificate(const std::string& host);

  /// An empty database with a name of its own.
  std::string create_database();
  [[nodiscard]] std::string url(std::string_view database = "postgres", std::string_view user = "postgres",
                                std::string_view password = "") const;
  /// As a new session's exec().
  std::string sql(const std::string& statements, std::string_view database = "postgres") const;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::string log() const;
  [[nodiscard]] bool running() const { return process_ > 0; }

  /// Where the server's programs are: initdb and postgres; in HASIGNER_PG_BINDIR, if that is set.
  [[nodiscard]] static std::filesystem::path program(std::string_view name);

 private:
  void write_settings(const PostgresOptions& options);
  [[nodiscard]] std::vector<pid_t> processes() const;
  void wait_until_ready();
  void end(int signal);

  /// Removes a folder when it is destroyed, and also when the test program ends without destroying anything.
  class FolderKeeper {
   public:
    explicit FolderKeeper(std::filesystem::path folder);
    ~FolderKeeper();
    FolderKeeper(const FolderKeeper&) = delete;
    FolderKeeper& operator=(const FolderKeeper&) = delete;

   private:
    std::filesystem::path folder_;
    int pipe_ = -1;
    pid_t process_ = 0;
  };

  std::filesystem::path folder_;
  FolderKeeper keeper_{folder_};
  std::filesystem::path data_folder_;
  std::uint16_t port_ = 0;
  pid_t process_ = 0;
  bool is_standby_ = false;
  int databases_ = 0;
};

/// A port of the loopback interface that was free a moment ago.
[[nodiscard]] std::uint16_t free_port();

/// Waits for a condition, looking every few milliseconds. False: it did not come true in ten seconds.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition);

}  // namespace hasigner::test

#include <chrono>
#include <thread>

template <class Condition>
bool hasigner::test::eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}
