#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>

#include "hasigner/cli/program.hpp"

namespace {

/// Keys and passwords pass through this process: neither a core file nor another process of the same user gets at them.
void protect_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void overwrite(char* text) { std::memset(text, '*', std::strlen(text)); }

/// Copies the arguments, and takes database URLs, which may hold a password, out of what the process list shows.
std::vector<std::string> take_arguments(std::span<char*> arguments) {
  constexpr std::string_view kFlag = "--database-url";
  const std::vector<std::string> copies(arguments.begin(), arguments.end());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (copies[i] == kFlag && i + 1 < arguments.size()) overwrite(arguments[i + 1]);
    if (copies[i].starts_with(std::string(kFlag) + "=")) overwrite(arguments[i] + kFlag.size() + 1);
  }
  return copies;
}

std::optional<std::string> read_environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

int main(int argc, char** argv) {
  protect_process();
  const auto arguments = take_arguments(std::span(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  std::ios::sync_with_stdio(false);
  hasigner::cli::Console console{.in = std::cin,
                                 .out = std::cout,
                                 .err = std::cerr,
                                 .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                                 .can_ask = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1,
                                 .columns = terminal_columns()};
  return static_cast<int>(hasigner::cli::run_program(arguments, console, read_environment));
}
