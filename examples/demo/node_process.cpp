#include "examples/demo/node_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace hasigner::demo {

namespace {

constexpr auto kEndsWithin = std::chrono::seconds(3);

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::sigaddset(&set, signal);
  return set;
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("no pipe to a node", errno);
    read = ends[0];
    write = ends[1];
  }
  int read;
  int write;
};

pid_t spawn(int input, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  // The node must not inherit that this program has its signals blocked.
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = "ha-signer-demo";
  std::string command = "node";
  std::array<char*, 3> arguments = {name.data(), command.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("a node cannot be started", error);
  return pid;
}

bool reaped(pid_t pid) {
  return ::waitpid(pid, nullptr, WNOHANG) == pid;
}

}  // namespace

NodeProcess::NodeProcess() {
  const Pipe to_node;
  const Pipe from_node;
  input_ = to_node.write;
  output_ = from_node.read;
  pid_ = spawn(to_node.read, from_node.write);
  ::close(to_node.read);
  ::close(from_node.write);
  ::fcntl(output_, F_SETFL, O_NONBLOCK);
}

NodeProcess::~NodeProcess() {
  close_input();
  // Its input has ended, so it stops by itself; one that does not is not waited for long.
  const auto give_up_at = std::chrono::steady_clock::now() + kEndsWithin;
  bool gone = reaped(pid_);
  while (!gone && std::chrono::steady_clock::now() < give_up_at) {
    if (!ended_) static_cast<void>(read_lines());
    ::poll(nullptr, 0, 5);
    gone = reaped(pid_);
  }
  if (!gone) {
    kill();
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(output_);
}

void NodeProcess::close_input() {
  if (input_ >= 0) ::close(input_);
  input_ = -1;
}

void NodeProcess::kill() const {
  ::kill(pid_, SIGKILL);
}

void NodeProcess::send(std::string_view text) const {
  while (input_ >= 0 && !text.empty()) {
    const auto written = ::write(input_, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::vector<std::string> NodeProcess::read_lines() {
  std::array<char, 16'384> buffer;
  for (;;) {
    const auto got = ::read(output_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) ended_ = true;
    if (got <= 0) break;
    partial_.append(buffer.data(), static_cast<std::size_t>(got));
  }
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (auto end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n', begin)) {
    lines.push_back(partial_.substr(begin, end - begin));
    begin = end + 1;
  }
  partial_.erase(0, begin);
  return lines;
}

InterruptWatch::InterruptWatch() {
  const auto set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0) fail("signals cannot be watched", errno);
}

InterruptWatch::~InterruptWatch() {
  // What came meanwhile has been obeyed: the demonstration is over.
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof(info)) > 0) continue;
  ::close(signals_);
  const auto set = ending_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void InterruptWatch::wait(const std::vector<NodeProcess*>& processes, std::chrono::milliseconds limit) const {
  std::vector<pollfd> descriptors = {{.fd = signals_, .events = POLLIN, .revents = 0}};
  for (const auto* process : processes)
    descriptors.push_back({.fd = process->output(), .events = POLLIN, .revents = 0});
  ::poll(descriptors.data(), descriptors.size(), static_cast<int>(limit.count()));
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof(info)) == sizeof(info)) {
    // A node that has died is noticed by the end of its output.
    if (info.ssi_signo != SIGPIPE) throw Interrupted{};
  }
}

TemporaryFolder::TemporaryFolder() {
  const char* parent = std::getenv("TMPDIR");
  path_ = std::string(parent && *parent ? parent : "/tmp") + "/ha-signer-demo-XXXXXX";
  if (!::mkdtemp(path_.data())) fail("no temporary folder " + path_, errno);
}

TemporaryFolder::~TemporaryFolder() {
  if (kept_) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace hasigner::demo
