#include "hasigner/cli/program.hpp"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/contains.hpp"
#include "hasigner/cli/help.hpp"
#include "hasigner/cli/nearest.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/secret_input.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::cli {

namespace {

/// The command that the arguments led to, as far as they could be read.
CommandNode& reached(CommandNode& root) {
  CommandNode* node = &root;
  while (!node->app->get_subcommands().empty()) {
    const CLI::App* sub = node->app->get_subcommands().front();
    const auto next = std::ranges::find(node->children, sub, &CommandNode::app);
    if (next == node->children.end()) break;
    node = &*next;
  }
  return *node;
}

/// What the user typed, without what may be a secret.
std::string echoed(const std::string& argument) {
  return printable(postgres::mask_password(without_keys(argument)), 200);
}

std::vector<std::string> option_names(const CommandNode& node) {
  std::vector<std::string> names;
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CommandNode& node) {
  std::vector<std::string> names;
  for (const auto& child : node.children) {
    if (child.command.hidden) continue;
    names.push_back(child.command.name);
    names.insert(names.end(), child.command.aliases.begin(), child.command.aliases.end());
  }
  return names;
}

/// About the first argument that no definition accepts.
std::string unexpected_argument(const CommandNode& node, const std::string& argument) {
  if (argument.starts_with("-") && argument.size() > 1) {
    const std::string name = argument.substr(0, argument.find('='));
    return echoed(name) + " is not an option of " + node.full_name() + did_you_mean(name, option_names(node));
  }
  if (!node.children.empty()) {
    return "'" + echoed(argument) + "' is not a command of " + node.full_name() +
           did_you_mean(argument, command_names(node));
  }
  return node.full_name() + " does not take '" + echoed(argument) + "'";
}

/// An option may be given once: the second value would contradict the first. Returns nullopt when none is repeated.
std::optional<std::string> repeated_option(const CommandNode& node) {
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    const bool once = option->get_expected_max() <= 1;
    if (once && option->count() > 1)
      return option->get_name() + " is given " + std::to_string(option->count()) + " times";
  }
  return std::nullopt;
}

/// A sentence about the first option of these types that has an empty value. Returns nullopt when there is none.
std::optional<std::string> empty_value(const CommandNode& node,
                                       const std::function<bool(const std::string&)>& of_type) {
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    if (!of_type(option->get_type_name())) continue;
    for (const auto& value : option->results()) {
      if (value.empty()) return option->get_name() + " is '', but must not be empty: " + option->get_type_name();
    }
  }
  return std::nullopt;
}

std::string sentence_of(const CommandNode& node, const CLI::ParseError& error) {
  // The cause of the error that was found, perhaps: a variable of the shell that is not set.
  const auto any = [](const std::string&) { return true; };
  const auto rest = node.app->remaining(true);
  const bool names_an_unknown_option = !rest.empty() && rest.front().starts_with("--");
  if (auto empty = empty_value(node, any); empty && !names_an_unknown_option) return *empty;
  if (!rest.empty()) return unexpected_argument(node, rest.front());
  if (auto repeated = repeated_option(node)) return *repeated;
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    if (error.get_name() == "RequiredError" && option->get_required() && option->count() == 0) {
      return option->get_name() + " is missing";
    }
    if (error.get_name() == "ArgumentMismatch" && std::string(error.what()).starts_with(option->get_name() + ":")) {
      return option->get_name() + " needs a value: " + option->get_type_name();
    }
  }
  return echoed(error.what());
}

/// Splits `--slot=` into `--slot` and an empty value: CLI11 would take the next argument for the value.
std::vector<std::string> with_empty_values_split(const std::vector<std::string>& arguments) {
  std::vector<std::string> split;
  bool options_may_follow = true;
  for (const auto& argument : arguments) {
    if (argument == "--") options_may_follow = false;
    const bool has_empty_value = options_may_follow && argument.size() > 3 && argument.starts_with("--") &&
                                 argument.find('=') == argument.size() - 1;
    split.push_back(has_empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (has_empty_value) split.emplace_back();
  }
  return split;
}

CommandError usage_error(const CommandNode& node, const std::string& sentence) {
  return {ExitCode::kUsage, sentence + "\nTry: " + node.full_name() + " --help"};
}

/// The command to run. Returns null when help or version was asked for and has been printed.
CommandNode* parse(CommandTree& tree, std::vector<std::string> arguments, const Console& console) {
  CommandNode& root = tree.root();
  arguments = with_empty_values_split(arguments);
  std::ranges::reverse(arguments);  // CLI11 takes them from the back
  try {
    root.app->parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    console.out << help_text(reached(root), help_width(console));
    return nullptr;
  } catch (const CLI::CallForVersion&) {
    console.out << version_text() << '\n';
    return nullptr;
  } catch (const CLI::ParseError& error) {
    const CommandNode& node = reached(root);
    throw usage_error(node, sentence_of(node, error));
  }
  CommandNode& node = reached(root);
  if (node.app == root.app)
    throw CommandError(ExitCode::kUsage, "a command is missing\n\n" + help_text(root, help_width(console)));
  // Other types have readers that say more.
  const auto is_a_name = [](const std::string& type) { return type == "FILE" || type == "DIR" || type == "NAME"; };
  if (const auto sentence = empty_value(node, is_a_name)) throw usage_error(node, *sentence);
  if (!node.action) throw usage_error(node, node.full_name() + " needs a command: " + joined(command_names(node)));
  return &node;
}

Settings load_settings(const CommandNode& node, const Environment& environment) {
  SettingSources sources{.config_file = node.config_file,
                         .environment = environment,
                         .take_secret = take_environment_secret,
                         .wanted = node.command.settings,
                         .database_url_of_migrations = node.command.database_url_of_migrations};
  for (const SettingId id : node.command.settings) {
    const std::string flag(definition_of(id).flag);
    if (node.app->get_option(flag)->count() > 0) sources.flags[id] = node.flags.at(id);
  }
  return Settings::load(sources);
}

ExitCode run_command(CommandTree& tree, const std::vector<std::string>& arguments, Console& console,
                     const Environment& environment) {
  const CommandNode* node = parse(tree, arguments, console);
  if (!node) return ExitCode::kSuccess;
  const Settings settings = load_settings(*node, environment);
  for (const auto& note : settings.notes()) console.err << "note: " << note << '\n';
  Context context{settings, console, tree};
  return node->action(context);
}

ExitCode report(const CommandError& error, Console& console, Output output) {
  console.err << "ha-signer: " << error.what() << '\n';
  if (output == Output::kJson) {
    print_json(console.out, {{"error", {{"kind", error.kind()}, {"message", error.what()}}},
                             {"exit_code", static_cast<int>(error.code())}});
  }
  return error.code();
}

}  // namespace

std::string version_text() {
  return "ha-signer " HASIGNER_VERSION
         "\n"
         "PostgreSQL schema: versions 1 to 3 of the tables shared with @aztec/validator-ha-signer, version 1 of its "
         "own\n"
         "SQLite schema: version " +
         std::to_string(sqlite::schema_version());
}

ExitCode run_program(const std::vector<std::string>& arguments, Console& console, const Environment& environment) {
  const Output output = contains(arguments, "--json") ? Output::kJson : Output::kText;
  ExitCode code = ExitCode::kFailure;
  try {
    CommandTree tree(all_commands());
    code = run_command(tree, arguments, console, environment);
  } catch (const CommandError& error) {
    code = report(error, console, output);
  } catch (const StartupError& error) {
    code = report(CommandError(error), console, output);
  } catch (const std::exception& error) {
    code = report(CommandError(ExitCode::kFailure, std::string("unexpected: ") + error.what()), console, output);
  }
  console.err.flush();
  if (console.out.flush()) return code;
  // A full disk or a closed pipe must not look like success.
  console.err << "ha-signer: cannot write to standard output\n" << std::flush;
  return code == ExitCode::kSuccess ? ExitCode::kFailure : code;
}

}  // namespace hasigner::cli
