#include "hasigner/cli/service_manager.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace hasigner::cli {

namespace {

constexpr int kFirstSocket = 3;
constexpr int kMostSockets = 16;

std::string take_variable(const char* name) {
  const char* const value = std::getenv(name);
  std::string text = value ? value : "";
  ::unsetenv(name);
  return text;
}

template <class Number = int>
std::optional<Number> number_of(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Half the manager's time-out, so that one late message is not an alarm.
std::optional<std::chrono::milliseconds> take_watchdog() {
  const auto timeout_us = number_of<std::int64_t>(take_variable("WATCHDOG_USEC"));
  const auto process = take_variable("WATCHDOG_PID");
  const bool meant = process.empty() || number_of(process) == ::getpid();
  if (!meant || !timeout_us || *timeout_us <= 0) return std::nullopt;
  const std::chrono::milliseconds period(*timeout_us / 2'000);
  return std::max(period, std::chrono::milliseconds(1));
}

}  // namespace

ServiceManager::ServiceManager() : notify_socket_(take_variable("NOTIFY_SOCKET")), watchdog_period_(take_watchdog()) {
  const auto process = number_of(take_variable("LISTEN_PID"));
  const auto count = number_of(take_variable("LISTEN_FDS"));
  take_variable("LISTEN_FDNAMES");
  // The message may be for a parent process.
  if (process != ::getpid() || !count || *count < 0 || *count > kMostSockets) return;
  for (int i = 0; i < *count; ++i) {
    ::fcntl(kFirstSocket + i, F_SETFD, FD_CLOEXEC);
    sockets_.push_back(kFirstSocket + i);
  }
}

void ServiceManager::notify(const std::string& state) const {
  sockaddr_un address{};
  if (notify_socket_.empty() || notify_socket_.size() >= sizeof(address.sun_path)) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, notify_socket_.data(), notify_socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + notify_socket_.size());
  // A manager that does not listen does not need the message.
  static_cast<void>(::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), size));
  ::close(socket);
}

void ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto now_us = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
  notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now_us));
}

}  // namespace hasigner::cli
