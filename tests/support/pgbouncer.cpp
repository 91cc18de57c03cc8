#include "tests/support/pgbouncer.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace hasigner::test {

namespace fs = std::filesystem;

PgBouncer::PgBouncer(const PostgresServer& server, std::string_view mode, std::string_view settings)
    : port_(free_port()) {
  for (const char* path : {"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"}) {
    if (fs::exists(path)) program_ = path;
  }
  if (program_.empty()) throw std::runtime_error("pgbouncer is missing: run scripts/install-dependencies");
  std::string folder = (fs::temp_directory_path() / "hasigner-pgbouncer-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  folder_ = folder;
  std::ofstream(folder_ / "pgbouncer.ini")
      << "[databases]\n* = host=127.0.0.1 port=" << server.port()
      << " user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " << port_
      << "\nunix_socket_dir =\nauth_type = any\npool_mode = " << mode << "\n"
      << settings << "\n";
  if (geteuid() == 0) {
    const passwd* entry = getpwnam("postgres");
    if (entry == nullptr || chown(folder_.c_str(), entry->pw_uid, entry->pw_gid) != 0) {
      throw std::runtime_error("as root, the tests need the user postgres to run pgbouncer as");
    }
  }
  start();
}

PgBouncer::~PgBouncer() {
  end();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void PgBouncer::start() {
  const std::string file = folder_ / "pgbouncer.ini";
  const std::string log = folder_ / "log";
  std::vector<const char*> arguments{program_.c_str()};
  if (geteuid() == 0) arguments.insert(arguments.end(), {"-u", "postgres"});
  arguments.insert(arguments.end(), {file.c_str(), nullptr});
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("cannot start pgbouncer");
  if (process_ == 0) {
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(output, 1);
    dup2(output, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(arguments[0], const_cast<char* const*>(arguments.data()));
    _exit(127);
  }
  const bool answers = eventually([this] {
    try {
      SqlSession session(url("postgres"));
      return session.exec("select 1") == "1";
    } catch (const std::runtime_error&) {
      return false;
    }
  });
  if (answers) return;
  std::ostringstream text;
  text << std::ifstream(log).rdbuf();
  throw std::runtime_error("pgbouncer does not answer:\n" + text.str());
}

void PgBouncer::end() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void PgBouncer::restart() {
  end();
  start();
}

std::string PgBouncer::url(std::string_view database) const {
  return "postgresql://postgres@127.0.0.1:" + std::to_string(port_) + "/" + std::string(database);
}

}  // namespace hasigner::test
