#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/settings.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is CLI11's.
namespace CLI {
class App;
}  // namespace CLI

namespace hasigner::cli {

/// The streams of the program, and whether a person is at their other end.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool can_ask = false;       ///< standard input and standard error are terminals
  std::size_t columns = 100;  ///< of the terminal; meaningless where standard output is not a terminal

  /// Asks on standard error. True: the answer begins with y. False also when there is no terminal to ask on.
  [[nodiscard]] bool confirm(const std::string& question) const;
};

class CommandTree;

/// What an action gets.
struct Context {
  const Settings& settings;  ///< those that the command names; the others have their defaults
  Console& console;
  const CommandTree& program;  ///< for commands that describe the program itself
};

/// Carries a command out after its options were read. Throws CommandError for what ends it early.
using Action = std::function<ExitCode(Context&)>;

struct Example {
  std::string what;     ///< a short sentence without full stop
  std::string command;  ///< as one would type it
};

/// One command. Help, manual, completion and parsing all come from this and the options that `define` adds.
///
/// Each setting named becomes a flag of the command; flags of settings that it does not name are refused, and so are
/// wrong values, in the environment too, of those that it does name. CLI11's type_name() is the text that help shows
/// for a value; completion knows FILE, DIR, DUTY_TYPE (the six), STATUS, SHELL and lower-case words separated by `|`.
struct Command {
  std::string name;
  std::string group;             ///< heading in the list of commands; see command groups below
  std::string summary;           ///< one line without full stop
  std::string description = {};  ///< paragraphs for `--help` and the manual
  std::vector<Example> examples = {};
  std::vector<SettingId> settings = {};
  std::vector<std::string> aliases = {};
  bool hidden = false;                      ///< not listed: for the program itself
  bool database_url_of_migrations = false;  ///< DATABASE_URL is looked at before VALIDATOR_HA_DATABASE_URL
  /// Adds options to the app, bound to storage that the returned action shares. Empty for a command of subcommands
  /// only.
  std::function<Action(CLI::App&)> define = {};
  std::vector<Command> subcommands = {};
};

inline constexpr const char* kSigningGroup = "Signing";
inline constexpr const char* kInspectionGroup = "Inspection";
inline constexpr const char* kMaintenanceGroup = "Maintenance";
inline constexpr const char* kSetupGroup = "Setup";
inline constexpr const char* kShellGroup = "Shell";

}  // namespace hasigner::cli
