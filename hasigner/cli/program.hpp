#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/cli/command.hpp"

namespace hasigner::cli {

/// A command as CLI11 knows it.
struct CommandNode {
  Command command;
  CLI::App* app = nullptr;
  Action action;
  std::map<SettingId, std::string> flags;  ///< where CLI11 puts the values of the command's settings
  std::optional<std::string> config_file;
  CommandNode* parent = nullptr;
  std::deque<CommandNode> children;  ///< CLI11 holds addresses of the values above, so nodes never move

  /// `ha-signer duties list`
  [[nodiscard]] std::string full_name() const;
  [[nodiscard]] const CommandNode* child(std::string_view name) const;
};

/// All commands with all their options.
class CommandTree {
 public:
  explicit CommandTree(std::vector<Command> commands);
  ~CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  [[nodiscard]] CommandNode& root() { return root_; }
  [[nodiscard]] const CommandNode& root() const { return root_; }

 private:
  std::unique_ptr<CLI::App> app_;
  CommandNode root_;
};

using Environment = std::function<std::optional<std::string>(std::string_view)>;

/// Runs the program with the arguments that follow its name; every error becomes a sentence and an exit code.
[[nodiscard]] ExitCode run_program(const std::vector<std::string>& arguments, Console& console,
                                   const Environment& environment);

/// What `--version` prints.
[[nodiscard]] std::string version_text();

}  // namespace hasigner::cli
