#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hasigner/async/background.hpp"

namespace hasigner::service {

enum class LogLevel : std::uint8_t { kInfo, kWarning, kError };
enum class LogFormat : std::uint8_t {
  kText,  ///< for a person at a terminal
  kJson,  ///< one object a line
};

/// A name and a value. The value must not be a secret.
using LogField = std::pair<std::string_view, std::string>;

/// UTC, as `2026-01-31T12:00:00.000000Z`.
[[nodiscard]] std::string iso_text(std::chrono::system_clock::time_point time);

struct LogLine {
  std::string time;  ///< UTC, `2026-01-31T12:00:00.000Z`
  LogLevel level = LogLevel::kInfo;
  std::string event;  ///< short and stable: `request`, `reload`
  std::vector<LogField> fields;
};

/// The line with its end. It is one line of printable UTF-8 for any fields.
[[nodiscard]] std::string to_text(const LogLine& line, LogFormat format);

/// Writes lines to a descriptor on its own thread, so that the program does not wait for the reader of the log.
///
/// A line is dropped when the queue is full. The next line that fits says how many lines were dropped.
/// Thread safety: any thread.
class Log {
 public:
  Log(int descriptor, LogFormat format);
  /// Writes queued lines; gives up when the descriptor accepts nothing for a second.
  ~Log();
  /// Writes queued lines; further lines are lost. For the end of a program, when other objects still hold the log.
  void end();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(LogLevel level, std::string event, std::vector<LogField> fields);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Writes a line about work that an exception has ended.
[[nodiscard]] ReportFailure report_to(std::shared_ptr<Log> log);

}  // namespace hasigner::service
