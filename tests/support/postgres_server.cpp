#include "tests/support/postgres_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace hasigner::test {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kLongestWait = 60s;

/// Whom the server's processes run as: initdb and postgres refuse to be root.
struct Account {
  uid_t user;
  gid_t group;
};

std::optional<Account> server_account() {
  if (geteuid() != 0) return std::nullopt;
  const passwd* entry = getpwnam("postgres");
  if (entry == nullptr) throw std::runtime_error("as root, the tests need the user postgres to run servers as");
  return Account{entry->pw_uid, entry->pw_gid};
}

/// What a child does before it becomes another program; only what is allowed between fork and exec.
void become(const std::optional<Account>& account, int death_signal) {
  if (account) {
    if (setgroups(0, nullptr) != 0 || setgid(account->group) != 0 || setuid(account->user) != 0) _exit(126);
  }
  // After the change of user, which would take it away again.
  if (death_signal != 0) prctl(PR_SET_PDEATHSIG, death_signal);
}

/// Starts a program with its output in a file.
pid_t spawn(const std::vector<std::string>& command, const fs::path& output, int death_signal) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const auto account = server_account();
  const std::string folder = output.parent_path();
  const int log = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) throw std::runtime_error("cannot write " + output.string());
  const pid_t child = fork();
  if (child == 0) {
    dup2(log, 1);
    dup2(log, 2);
    const int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    if (chdir(folder.c_str()) != 0) _exit(126);
    // A signal meant for the test program (Ctrl-C) is not one for the server, which gets its own.
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    become(account, death_signal);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(log);
  if (child < 0) throw std::runtime_error("cannot start " + command[0]);
  return child;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void run(const std::vector<std::string>& command, const fs::path& output) {
  const pid_t child = spawn(command, output, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error(command[0] + " failed:\n" + text_of(output));
}

fs::path make_folder() {
  std::string path = (fs::temp_directory_path() / "hasigner-postgres-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  if (const auto account = server_account()) {
    if (chown(path.c_str(), account->user, account->group) != 0) throw std::runtime_error("cannot give away " + path);
  }
  return path;
}

/// Waits for the end of a process that need not be a child.
void wait_for_end(pid_t process) {
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0) return;
  pollfd waited{descriptor, POLLIN, 0};
  poll(&waited, 1, static_cast<int>(std::chrono::milliseconds(kLongestWait).count()));
  close(descriptor);
}

std::string rows_as_text(const PGresult* result) {
  std::string text;
  for (int r = 0; r < PQntuples(result); ++r) {
    if (r > 0) text += '\n';
    for (int c = 0; c < PQnfields(result); ++c) {
      if (c > 0) text += '|';
      text += PQgetvalue(result, r, c);
    }
  }
  return text;
}

}  // namespace

void SqlSession::Finish::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

SqlSession::SqlSession(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
  if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_.get()));
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

std::string SqlSession::exec(const std::string& sql) {
  send(sql);
  return finish();
}

void SqlSession::send(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1) throw std::runtime_error(PQerrorMessage(connection_.get()));
}

bool SqlSession::busy() {
  PQconsumeInput(connection_.get());
  return PQisBusy(connection_.get()) == 1;
}

std::string SqlSession::finish() {
  std::string text;
  std::string error;
  while (PGresult* result = PQgetResult(connection_.get())) {
    const auto status = PQresultStatus(result);
    const bool is_fine = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
    if (status == PGRES_TUPLES_OK) text = rows_as_text(result);
    if (!is_fine && error.empty()) error = PQresultErrorMessage(result);
    PQclear(result);
  }
  if (!error.empty()) throw std::runtime_error(error);
  return text;
}

int SqlSession::process_id() const {
  return PQbackendPID(connection_.get());
}

std::uint16_t free_port() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(listener);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

/// It waits for the end of a pipe whose other end dies with this process, however that happens. A server that stands
/// still has to go on to notice that its end has come.
PostgresServer::FolderKeeper::FolderKeeper(fs::path folder) : folder_(std::move(folder)) {
  constexpr const char* kScript =
      "read -r nothing\n"
      "server=$(head -n 1 \"$1/data/postmaster.pid\" 2>/dev/null) &&\n"
      "  kill -CONT $server $(cat /proc/$server/task/$server/children 2>/dev/null) 2>/dev/null\n"
      "for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$1\" 2>/dev/null && exit; sleep 0.3; done\n";
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  const std::string argument = folder_;
  process_ = fork();
  if (process_ == 0) {
    dup2(ends[0], 0);
    setpgid(0, 0);
    execl("/bin/sh", "sh", "-c", kScript, "keeper", argument.c_str(), nullptr);
    _exit(127);
  }
  close(ends[0]);
  pipe_ = ends[1];
}

PostgresServer::FolderKeeper::~FolderKeeper() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  close(pipe_);
  waitpid(process_, nullptr, 0);
}

fs::path PostgresServer::program(std::string_view name) {
  static const fs::path folder = [] {
    if (const char* given = std::getenv("HASIGNER_PG_BINDIR")) return fs::path(given);
    std::vector<std::pair<int, fs::path>> found;
    std::error_code no_such_folder;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", no_such_folder)) {
      const auto programs = entry.path() / "bin";
      if (fs::exists(programs / "postgres")) found.emplace_back(std::atoi(entry.path().filename().c_str()), programs);
    }
    if (found.empty())
      throw std::runtime_error("PostgreSQL's server programs are not installed (package postgresql-15)");
    return std::ranges::max(found).second;
  }();
  return folder / name;
}

PostgresServer& PostgresServer::shared() {
  static PostgresServer server;
  return server;
}

PostgresServer::PostgresServer(PostgresOptions options)
    : folder_(make_folder()), data_folder_(folder_ / "data"), port_(free_port()) {
  const char* encoding = std::getenv("HASIGNER_PG_ENCODING");
  run({program("initdb"), "-D", data_folder_, "-U", "postgres", "-A", "trust", "-E", encoding ? encoding : "UTF8",
       encoding ? "--locale=C" : "--locale=C.UTF-8", "--no-sync", "--no-instructions"},
      folder_ / "initdb.log");
  write_settings(options);
  start();
}

PostgresServer::PostgresServer(PostgresServer& primary, const std::string& name)
    : folder_(make_folder()), data_folder_(folder_ / "data"), port_(free_port()), is_standby_(true) {
  // Copied by hand, since not every installation has pg_basebackup. Files may vanish meanwhile.
  SqlSession backup(primary.url());
  const bool has_new_names = std::stoi(backup.exec("show server_version_num")) >= 150000;
  backup.exec(has_new_names ? "select pg_backup_start('standby', true)"
                            : "select pg_start_backup('standby', true, false)");
  run({"/bin/sh", "-c",
       "cp -a \"$1\" \"$2\" || :; rm -rf \"$2\"/postmaster.* \"$2\"/pg_replslot/* && touch \"$2/standby.signal\" "
       "\"$2/backup_label\"",
       "sh", primary.data_folder_, data_folder_},
      folder_ / "copy.log");
  std::ofstream(data_folder_ / "backup_label")
      << backup.exec(has_new_names ? "select labelfile from pg_backup_stop(false)"
                                   : "select labelfile from pg_stop_backup(false, false)");
  write_settings({.settings = {"primary_conninfo = 'host=127.0.0.1 port=" + std::to_string(primary.port()) +
                               " user=postgres application_name=" + name + "'"}});
  start();
}

PostgresServer::~PostgresServer() {
  try {
    if (running()) {
      thaw();
      stop(StopMode::kImmediate);
    }
  } catch (const std::exception&) {
    end(SIGKILL);
  }
}

void PostgresServer::write_settings(const PostgresOptions& options) {
  std::ofstream settings(data_folder_ / "postgresql.conf", std::ios::app);
  settings << "\nlisten_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
           << folder_.string() << "'\nfsync = " << (options.fsync ? "on" : "off")
           << "\nshared_buffers = 64MB\nlog_min_messages = warning\n"
           << "wal_level = replica\nhot_standby = on\nwal_receiver_status_interval = 1s\nwal_retrieve_retry_interval = "
              "100ms\n";
  for (const auto& line : options.settings) settings << line << "\n";
  if (options.access_rules.empty()) return;
  const auto file = data_folder_ / "pg_hba.conf";
  const std::string trusting = text_of(file);
  std::ofstream rules(file, std::ios::trunc);
  for (const auto& line : options.access_rules) rules << line << "\n";
  rules << trusting;
}

void PostgresServer::start() {
  if (running()) return;
  process_ = spawn({program("postgres"), "-D", data_folder_}, folder_ / "server.log", SIGQUIT);
  wait_until_ready();
}

/// The server itself writes its state into the eighth line of this file.
void PostgresServer::wait_until_ready() {
  const auto give_up_at = std::chrono::steady_clock::now() + kLongestWait;
  while (true) {
    std::istringstream lines(text_of(data_folder_ / "postmaster.pid"));
    std::vector<std::string> line;
    for (std::string one; std::getline(lines, one);) line.push_back(one);
    const bool is_this_life = !line.empty() && line[0] == std::to_string(process_);
    if (is_this_life && line.size() >= 8 &&
        (line[7].starts_with("ready") || (is_standby_ && line[7].starts_with("standby"))))
      return;
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = 0;
      throw std::runtime_error("the server did not start:\n" + log());
    }
    if (std::chrono::steady_clock::now() > give_up_at)
      throw std::runtime_error("the server is not ready in time:\n" + log());
    std::this_thread::sleep_for(5ms);
  }
}

void PostgresServer::end(int signal) {
  if (!running()) return;
  ::kill(process_, signal);
  wait_for_end(process_);
  // Waits only where the kernel, or a tool that stands in for it, could not tell of the end.
  const auto give_up_at = std::chrono::steady_clock::now() + kLongestWait;
  while (waitpid(process_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > give_up_at) throw std::runtime_error("the server does not stop:\n" + log());
    std::this_thread::sleep_for(5ms);
  }
  process_ = 0;
}

void PostgresServer::stop(StopMode mode) {
  end(mode == StopMode::kFast ? SIGINT : SIGQUIT);
}

void PostgresServer::restart(StopMode mode) {
  stop(mode);
  start();
}

std::vector<pid_t> PostgresServer::processes() const {
  std::vector<pid_t> all{process_};
  std::istringstream children(
      text_of("/proc/" + std::to_string(process_) + "/task/" + std::to_string(process_) + "/children"));
  for (pid_t child = 0; children >> child;) all.push_back(child);
  return all;
}

void PostgresServer::kill() {
  if (!running()) return;
  // The parent stands still first, so that it starts no others meanwhile.
  ::kill(process_, SIGSTOP);
  const auto all = processes();
  for (const pid_t process : all) ::kill(process, SIGKILL);
  for (const pid_t process : all) wait_for_end(process);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void PostgresServer::freeze() {
  ::kill(process_, SIGSTOP);
  for (const pid_t process : processes()) ::kill(process, SIGSTOP);
}

void PostgresServer::thaw() {
  for (const pid_t process : processes()) ::kill(process, SIGCONT);
}

void PostgresServer::promote() {
  sql("select pg_promote()");
  is_standby_ = false;
}

void PostgresServer::set_synchronous_standby(const std::string& name) {
  set("synchronous_standby_names", name);
  if (name.empty()) return;
  const bool waits = eventually([&] {
    return sql("select count(*) from pg_stat_replication where sync_state = 'sync' and application_name = '" + name +
               "'") == "1";
  });
  if (!waits) throw std::runtime_error("the standby " + name + " does not become synchronous:\n" + log());
}

void PostgresServer::set(const std::string& name, const std::string& value) {
  SqlSession session(url());
  session.exec("alter system set " + name + " = '" + value + "'");
  session.exec("select pg_reload_conf()");
}

void PostgresServer::make_certificate(const std::string& host) {
  run({"/usr/bin/openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-subj",
       "/CN=" + host, "-addext", "subjectAltName=DNS:" + host, "-keyout", data_folder_ / "server.key", "-out",
       data_folder_ / "server.crt"},
      folder_ / "openssl.log");
  // The test, which may be another user than the server, reads the certificate.
  fs::permissions(data_folder_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec);
}

std::string PostgresServer::create_database() {
  const std::string name = "test_" + std::to_string(++databases_);
  sql("create database " + name);
  return name;
}

std::string PostgresServer::url(std::string_view database, std::string_view user, std::string_view password) const {
  std::string url = "postgresql://" + std::string(user);
  if (!password.empty()) url += ":" + std::string(password);
  return url + "@127.0.0.1:" + std::to_string(port_) + "/" + std::string(database);
}

std::string PostgresServer::sql(const std::string& statements, std::string_view database) const {
  return SqlSession(url(database)).exec(statements);
}

std::string PostgresServer::log() const {
  const std::string all = text_of(folder_ / "server.log");
  return all.substr(all.size() > 4000 ? all.size() - 4000 : 0);
}

}  // namespace hasigner::test
