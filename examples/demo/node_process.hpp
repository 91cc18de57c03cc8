#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasigner::demo {

/// A node of the demonstration: this very program, run again as its hidden command `node`.
///
/// The process ends with this object, killed if need be, and is known by its id until then. Errors: std::runtime_error.
class NodeProcess {
 public:
  NodeProcess();
  ~NodeProcess();
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int output() const { return output_; }
  /// Whether its output has ended, that is, the process too.
  [[nodiscard]] bool ended() const { return ended_; }

  /// Writes to its standard input. Nothing happens if it has ended.
  void send(std::string_view text) const;
  /// The whole lines that can be read now, without waiting.
  [[nodiscard]] std::vector<std::string> read_lines();
  /// Ends its standard input.
  void close_input();
  /// Sends SIGKILL: the node can finish nothing.
  void kill() const;

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  bool ended_ = false;
  std::string partial_;
};

/// A signal asked the program to end: Ctrl-C, for instance.
struct Interrupted {};

/// Watches for SIGINT, SIGTERM and SIGHUP while it lives, in place of what they would do.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  /// Waits until something can be read from one of the processes, or for `limit`. Throws Interrupted.
  void wait(const std::vector<NodeProcess*>& processes, std::chrono::milliseconds limit) const;

 private:
  int signals_ = -1;
};

/// A new folder in TMPDIR, or /tmp, that only this user may enter; removed with all that is in it unless kept.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

}  // namespace hasigner::demo
