#pragma once

#include <span>
#include <string>
#include <vector>

#include "hasigner/cli/program.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is CLI11's.
namespace CLI {
class Option;
}  // namespace CLI

namespace hasigner::cli {

/// What `--help` prints about a command, in lines of at most `width` columns where words allow it.
[[nodiscard]] std::string help_text(const CommandNode& node, std::size_t width);

/// The columns that help may fill: long lines are hard to read, even on a wide terminal.
[[nodiscard]] std::size_t help_width(const Console& console);

/// Options of one heading.
struct OptionGroup {
  std::string heading;
  std::vector<const CLI::Option*> options;
};

// For the manual and the completion too.

/// The command's own options first, then settings, then the others.
[[nodiscard]] std::vector<OptionGroup> option_groups(const CommandNode& node);
[[nodiscard]] std::vector<const CLI::Option*> positionals(const CommandNode& node);
/// `-h, --help` or `--node-id ID`
[[nodiscard]] std::string option_label(const CLI::Option& option);
/// `ha-signer sign [OPTIONS]`
[[nodiscard]] std::string usage_line(const CommandNode& node);
/// The settings of a command, so that their variables and defaults can be told.
[[nodiscard]] std::vector<const SettingDefinition*> settings_of(const CommandNode& node);
/// The definition behind an option; null when the option is not a setting.
[[nodiscard]] const SettingDefinition* setting_of(const CLI::Option& option);

struct CommandGroup {
  std::string heading;
  std::vector<const CommandNode*> commands;
};
/// The commands that are listed, by heading.
[[nodiscard]] std::vector<CommandGroup> command_groups(const CommandNode& node);

[[nodiscard]] std::string joined(std::span<const std::string> words, std::string_view separator = ", ");

}  // namespace hasigner::cli
