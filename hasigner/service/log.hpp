#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasigner::service {

enum class LogLevel : std::uint8_t { kInfo, kWarning, kError };
enum class LogFormat : std::uint8_t {
  kText,  ///< for a person at a terminal
  kJson,  ///< one object a line
};

/// A name, and what it stands for here; never a secret.
using LogField = std::pair<std::string_view, std::string>;

struct LogLine {
  std::string time;  ///< UTC, `2026-01-31T12:00:00.000Z`
  LogLevel level = LogLevel::kInfo;
  std::string event;  ///< short and stable: `request`, `reload`
  std::vector<LogField> fields;
};

/// The line with its end; whatever the fields hold, it is one line of showable UTF-8.
[[nodiscard]] std::string to_text(const LogLine& line, LogFormat format);

/// Writes lines to a descriptor from a thread of its own, so that a reader that has stopped reading stops nobody else.
///
/// A line that finds the queue full is dropped, and the next one that fits says how many were.
/// Thread safety: any thread.
class Log {
 public:
  Log(int descriptor, LogFormat format);
  /// Writes what is queued; gives up on a descriptor that takes nothing for a second.
  ~Log();
  /// Writes what is left; further lines are lost. For the end of a program, where somebody may still hold the log.
  void end();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(LogLevel level, std::string event, std::vector<LogField> fields);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hasigner::service
