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

/// Keys and passwords pass through this process: no core file and no other process of the same user may read them.
void protect_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void overwrite(char* text) {
  std::memset(text, '*', std::strlen(text));
}

/// A text that may be a URL with a password, as the value of its option or of a misspelt one.
bool may_hold_password(std::string_view argument) {
  return (argument.contains("://") && argument.contains('@')) || argument.contains("password=");
}

/// Copies the arguments, and takes database URLs out of what the process list shows.
std::vector<std::string> take_arguments(std::span<char*> arguments) {
  constexpr std::string_view kFlag = "--database-url";
  const std::vector<std::string> copies(arguments.begin(), arguments.end());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto equals = copies[i].find('=');
    const bool is_option = copies[i].starts_with("--") && equals != std::string::npos;
    const std::size_t value = is_option ? equals + 1 : 0;  // what follows `--option=`
    const bool is_url = i > 0 && copies[i - 1] == kFlag;
    if (is_url || may_hold_password(std::string_view(copies[i]).substr(value))) overwrite(arguments[i] + value);
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
