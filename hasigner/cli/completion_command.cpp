#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/help.hpp"

namespace hasigner::cli {

namespace {

struct Shell {
  std::string_view name;
  void (*print)(const CommandNode& root, std::ostream& out);
};
void print_bash(const CommandNode& root, std::ostream& out);
void print_zsh(const CommandNode& root, std::ostream& out);
void print_fish(const CommandNode& root, std::ostream& out);
constexpr std::array kShells = {Shell{"bash", print_bash}, Shell{"zsh", print_zsh}, Shell{"fish", print_fish}};

/// The words that complete a value; the shell itself completes `FILE` and `DIR`.
std::vector<std::string> value_words(const std::string& type_name) {
  std::vector<std::string> words;
  std::string_view rest = type_name;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('|'), rest.size());
    const std::string alternative(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (alternative == "DUTY_TYPE") {
      for (const DutyType type : kProtectedDutyTypes) words.emplace_back(to_string(type));
    } else if (alternative == "STATUS") {
      words.insert(words.end(), {"signing", "signed"});
    } else if (alternative == "SHELL") {
      for (const auto& shell : kShells) words.emplace_back(shell.name);
    } else if (alternative.front() >= 'a' && alternative.front() <= 'z') {
      words.push_back(alternative);
    }
  }
  return words;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  return names;
}

/// Calls `visit` for the command and all those below it.
template <class Visit>
void for_each_command(const CommandNode& node, const Visit& visit) {
  visit(node);
  for (const auto& child : node.children) {
    if (!child.command.hidden) for_each_command(child, visit);
  }
}

// The tables of bash and zsh are the same `case` commands.

void print_paths(const CommandNode& root, std::ostream& out) {
  for_each_command(root, [&out](const CommandNode& node) {
    if (!node.parent) return;
    const std::string before = node.parent->full_name();
    out << "      '" << before << " " << node.command.name << "'";
    for (const auto& alias : node.command.aliases) out << " | '" << before << " " << alias << "'";
    out << ") command='" << node.full_name() << "' ;;\n";
  });
}

/// How the value of an option is completed.
std::string value_action(const CLI::Option& option) {
  const std::string type_name = option.get_type_name();
  if (type_name == "FILE") return "_ha_signer_files compgen -f";
  if (type_name == "DIR") return "_ha_signer_files compgen -d";
  return "_ha_signer_offer '" + joined(value_words(type_name), " ") + "'";
}

std::string pattern(const std::string& command, const std::string& option) {
  return "'" + command + " " + option + "'";
}

/// What follows an option that takes a value. Most options are completed alike in all commands.
void print_values(const CommandNode& root, std::ostream& out) {
  std::map<std::string, std::map<std::string, std::vector<std::string>>> commands;  // by option, then by action
  for_each_command(root, [&commands](const CommandNode& node) {
    for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
      if (option->get_positional() || option->get_expected_max() == 0) continue;
      for (const auto& name : names_of(*option)) commands[name][value_action(*option)].push_back(node.full_name());
    }
  });
  std::map<std::string, std::vector<std::string>> patterns;  // by action
  for (const auto& [name, actions] : commands) {
    for (const auto& [action, users] : actions) {
      if (actions.size() == 1) patterns[action].push_back("*' " + name + "'");
      if (actions.size() == 1) continue;
      for (const auto& user : users) patterns[action].push_back(pattern(user, name));
    }
  }
  for (const auto& [action, list] : patterns)
    out << "    " << joined(list, " | ") << ")\n      " << action << "; return ;;\n";
}

/// What may come where no value is expected: options, commands, files.
void print_words(const CommandNode& root, std::ostream& out) {
  for_each_command(root, [&out](const CommandNode& node) {
    std::vector<std::string> options, words;
    bool takes_file = false;
    for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
      const auto more = option->get_positional() ? value_words(option->get_type_name()) : names_of(*option);
      auto& list = option->get_positional() ? words : options;
      list.insert(list.end(), more.begin(), more.end());
      takes_file = takes_file || (option->get_positional() && option->get_type_name() == "FILE");
    }
    for (const auto& child : node.children) {
      if (!child.command.hidden) words.push_back(child.command.name);
    }
    out << "    '" << node.full_name() << "') options='" << joined(options, " ") << "' offered='" << joined(words, " ")
        << "'" << (takes_file ? " files=yes" : "") << " ;;\n";
  });
}

void print_bash(const CommandNode& root, std::ostream& out) {
  out << R"(# bash completion for ha-signer, made by: ha-signer completion bash

_ha_signer_offer() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_ha_signer_files() {
  compopt -o filenames 2>/dev/null || true  # fails outside a completion
  mapfile -t COMPREPLY < <("$@" -- "$current")
}

_ha_signer() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='ha-signer' options='' offered='' files='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command ${COMP_WORDS[i]}" in
)";
  print_paths(root, out);
  out << R"(    esac
  done
  case "$command $previous" in
)";
  print_values(root, out);
  out << R"(  esac
  case "$command" in
)";
  print_words(root, out);
  out << R"(  esac
  if [[ $current != -* && -n $files ]]; then
    _ha_signer_files compgen -f
  elif [[ $current == -* || -z $offered ]]; then
    _ha_signer_offer "$options"
  else
    _ha_signer_offer "$offered"
  fi
}

complete -F _ha_signer ha-signer
)";
}

void print_zsh(const CommandNode& root, std::ostream& out) {
  out << R"(#compdef ha-signer
# zsh completion for ha-signer, made by: ha-signer completion zsh

_ha_signer_offer() {
  local -a offered=(${=1})
  compadd -a offered
}

_ha_signer_files() {
  if [[ $2 == -d ]]; then _files -/; else _files; fi
}

_ha_signer() {
  local current=$words[CURRENT] previous=$words[CURRENT-1] command='ha-signer' options='' offered='' files='' i
  for ((i = 2; i < CURRENT; i++)); do
    case "$command $words[i]" in
)";
  print_paths(root, out);
  out << R"(    esac
  done
  case "$command $previous" in
)";
  print_values(root, out);
  out << R"(  esac
  case "$command" in
)";
  print_words(root, out);
  out << R"(  esac
  if [[ $current != -* && -n $files ]]; then
    _files
  elif [[ $current == -* || -z $offered ]]; then
    _ha_signer_offer "$options"
  else
    _ha_signer_offer "$offered"
  fi
}

# As a file of fpath this is the body of a function; with `source` it is not.
if [[ $funcstack[1] == _ha-signer ]]; then _ha_signer "$@"; else compdef _ha_signer ha-signer; fi
)";
}

std::string quoted_for_fish(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

/// How fish completes the value of an option; empty for a switch.
std::string fish_value(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return "";
  const std::string type_name = option.get_type_name();
  if (type_name == "FILE") return " -r -F";
  if (type_name == "DIR") return " -x -a '(__fish_complete_directories)'";
  const auto words = value_words(type_name);
  return words.empty() ? " -x" : " -x -a " + quoted_for_fish(joined(words, " "));
}

void print_fish_command(const CommandNode& node, std::ostream& out) {
  const std::string begin = "complete -c ha-signer -n '__ha_signer_at " + node.full_name() + "'";
  for (const auto& child : node.children) {
    if (child.command.hidden) continue;
    out << begin << " -a " << child.command.name << " -d " << quoted_for_fish(child.command.summary) << '\n';
  }
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    const auto words = value_words(option->get_type_name());
    if (option->get_positional()) {
      if (option->get_type_name() == "FILE") out << begin << " -F\n";
      if (!words.empty()) out << begin << " -a " << quoted_for_fish(joined(words, " ")) << '\n';
      continue;
    }
    out << begin;
    for (const auto& name : option->get_lnames()) out << " -l " << name;
    for (const auto& name : option->get_snames()) out << " -s " << name;
    out << fish_value(*option) << " -d " << quoted_for_fish(option->get_description()) << '\n';
  }
}

void print_fish(const CommandNode& root, std::ostream& out) {
  out << R"(# fish completion for ha-signer, made by: ha-signer completion fish

function __ha_signer_command
    set -l command ha-signer
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
)";
  for_each_command(root, [&out](const CommandNode& node) {
    if (!node.parent) return;
    const std::string before = node.parent->full_name();
    out << "            case '" << before << " " << node.command.name << "'";
    for (const auto& alias : node.command.aliases) out << " '" << before << " " << alias << "'";
    out << "\n                set command '" << node.full_name() << "'\n";
  });
  out << R"(        end
    end
    echo $command
end

function __ha_signer_at
    test (__ha_signer_command) = "$argv"
end

complete -c ha-signer -f
)";
  for_each_command(root, [&out](const CommandNode& node) { print_fish_command(node, out); });
}

ExitCode print_completion(const std::string& shell, Context& context) {
  const auto* const known = std::ranges::find(kShells, shell, &Shell::name);
  if (known == kShells.end()) throw CommandError(InvalidInput{"SHELL", printable(shell), "bash, zsh or fish"});
  known->print(context.program.root(), context.console.out);
  return ExitCode::kSuccess;
}

}  // namespace

Command completion_command() {
  return {.name = "completion",
          .group = kShellGroup,
          .summary = "Print a completion script for the shell",
          .examples = {{"In this shell", "source <(ha-signer completion bash)"},
                       {"In fish", "ha-signer completion fish | source"}},
          .define = [](CLI::App& app) -> Action {
            auto shell = std::make_shared<std::string>();
            app.add_option("SHELL", *shell, "The shell: bash, zsh or fish")->type_name("SHELL")->required();
            return [shell](Context& context) { return print_completion(*shell, context); };
          }};
}

}  // namespace hasigner::cli
