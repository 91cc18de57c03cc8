#include "hasigner/cli/secret_input.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/keys/secret_file.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kMaxTyped = 4096;
constexpr char kControlC = '\x03';
constexpr char kControlD = '\x04';

constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";

bool looks_like_a_key(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return text.size() >= 40 && text.find_first_not_of(kHexDigits) == std::string_view::npos;
}

/// The person's terminal, which does not show what is typed while this lives.
class SilentTerminal {
 public:
  SilentTerminal() : terminal_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (terminal_ < 0 || ::tcgetattr(terminal_, &before_) != 0) return;
    termios silent = before_;
    // Ctrl-C comes as a character, so that it cannot leave a silent terminal behind.
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL | ISIG);
    silent.c_cc[VEOL] = kControlC;
    is_silent_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (is_silent_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    if (terminal_ >= 0) ::close(terminal_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  [[nodiscard]] bool is_silent() const { return is_silent_; }
  void write(std::string_view text) const { static_cast<void>(!::write(terminal_, text.data(), text.size())); }
  /// False: the person has ended the input.
  [[nodiscard]] bool read_line(SecretText& line) const {
    for (;;) {
      char c = 0;
      const auto count = ::read(terminal_, &c, 1);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0 || c == kControlC || c == kControlD || line.size() >= kMaxTyped) return false;
      if (c == '\n' || c == '\r') return true;
      line.push_back(c);
    }
  }

 private:
  int terminal_;
  termios before_{};
  bool is_silent_ = false;
};

}  // namespace

void refuse_key(std::string_view option, std::string_view text) {
  if (!looks_like_a_key(text)) return;
  throw CommandError(ExitCode::kUsage,
                     std::string(option) +
                         " looks like a key itself; other users can see a key on the command line, so replace "
                         "it, and give the name of the file or variable that holds the key");
}

std::shared_ptr<const SecretText> take_environment_secret(std::string_view name) {
  char* const value = std::getenv(std::string(name).c_str());
  if (!value || !*value) return nullptr;
  const std::span<char> text(value, std::strlen(value));
  auto secret = std::make_shared<const SecretText>(std::string_view(text.data(), text.size()));
  volatile char* const bytes = text.data();
  for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = 0;
  return secret;
}

SecretText read_secret(std::string_view option, const std::string& path) {
  refuse_key(option, path);
  auto text = keys::read_secret_file_or_pipe(path);
  if (text) return std::move(*text);
  text.error().field = std::string(option) + ": " + text.error().field;
  throw CommandError(text.error());
}

std::string_view first_line(const SecretText& text) {
  const auto line = text.view().substr(0, text.view().find('\n'));
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

SecretText ask_secret(const std::string& question, std::string_view instead) {
  const SilentTerminal terminal;
  if (!terminal.is_silent()) {
    throw CommandError(ExitCode::kUsage, "there is no terminal to ask on: give " + std::string(instead));
  }
  terminal.write(question);
  SecretText line;
  const bool is_given = terminal.read_line(line);
  terminal.write("\n");
  if (!is_given) throw CommandError(ExitCode::kFailure, "nothing was changed", "consent");
  return line;
}

}  // namespace hasigner::cli
