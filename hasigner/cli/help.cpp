#include "hasigner/cli/help.hpp"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "hasigner/cli/contains.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kWidestHelp = 110;
constexpr std::size_t kWidestLabel = 36;

/// Breaks text between words; lines after the first are indented.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string lines;
  std::size_t column = indent;
  bool line_is_empty = true;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line_is_empty && column + 1 + word.size() > width) {
      lines += '\n' + std::string(indent, ' ');
      column = indent;
      line_is_empty = true;
    }
    if (!line_is_empty) lines += ' ';
    column += word.size() + (line_is_empty ? 0 : 1);
    lines += word;
    line_is_empty = false;
  }
  return lines;
}

/// A line break separates paragraphs.
std::string paragraphs(std::string_view text, std::size_t width) {
  std::string lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines += wrapped(text.substr(0, end), 0, width) + '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// A label and what it means, in two columns.
std::string entry(const std::string& label, std::string_view meaning, std::size_t label_width, std::size_t width) {
  std::string text = "  " + label;
  const std::size_t indent = 2 + label_width + 2;
  if (label.size() > label_width) {
    text += '\n' + std::string(indent, ' ');
  } else {
    text += std::string(indent - 2 - label.size(), ' ');
  }
  return text + wrapped(meaning, indent, width) + '\n';
}

std::string heading(std::string_view text) {
  return "\n" + std::string(text) + ":\n";
}

std::string meaning_of(const CLI::Option& option) {
  std::string meaning = option.get_description();
  if (const auto* setting = setting_of(option); setting && !setting->fallback.empty()) {
    meaning += " [" + std::string(setting->fallback) + "]";
  }
  if (option.get_required()) meaning += " (required)";
  return meaning;
}

std::size_t label_width(std::span<const OptionGroup> groups, std::span<const CLI::Option* const> positional) {
  std::size_t width = 12;
  const auto take = [&](const CLI::Option* option) {
    const auto size = option_label(*option).size();
    if (size <= kWidestLabel) width = std::max(width, size);
  };
  for (const auto& group : groups) std::ranges::for_each(group.options, take);
  std::ranges::for_each(positional, take);
  return width;
}

std::string commands_text(const CommandNode& node, std::size_t width) {
  std::string text;
  for (const auto& group : command_groups(node)) {
    text += heading(group.heading);
    for (const auto* child : group.commands) text += entry(child->command.name, child->command.summary, 12, width);
  }
  return text;
}

std::string options_text(const CommandNode& node, std::size_t width) {
  const auto groups = option_groups(node);
  const auto positional = positionals(node);
  const std::size_t label = label_width(groups, positional);
  std::string text;
  if (!positional.empty()) text += heading("Arguments");
  for (const auto* option : positional) text += entry(option_label(*option), meaning_of(*option), label, width);
  for (const auto& group : groups) {
    text += heading(group.heading);
    for (const auto* option : group.options) text += entry(option_label(*option), meaning_of(*option), label, width);
  }
  return text;
}

/// A command line, continued in the next line where it is too long, and fit for copying.
std::string command_line(std::string_view command, std::size_t width) {
  std::string lines = "  $ ";
  std::size_t column = lines.size();
  while (!command.empty()) {
    const auto end = std::min(command.find(" --", 1), command.size());
    const auto part = command.substr(0, end);
    command.remove_prefix(end);
    if (column + part.size() + 2 > width && column > 8) {
      lines += " \\\n     ";
      column = 5;
    }
    lines += part;
    column += part.size();
  }
  return lines + '\n';
}

std::string examples_text(const CommandNode& node, std::size_t width) {
  if (node.command.examples.empty()) return "";
  std::string text = heading("Examples");
  for (const auto& example : node.command.examples) {
    text += "  " + wrapped("# " + example.what, 4, width) + "\n" + command_line(example.command, width);
  }
  return text;
}

std::string environment_text(const CommandNode& node, std::size_t width) {
  const auto settings = settings_of(node);
  if (settings.empty()) return "";
  std::string text = heading("Environment (a flag takes precedence over it, and it over the settings file)");
  for (const auto* setting : settings) {
    std::vector<std::string> names(setting->environment.begin(), setting->environment.end());
    if (setting->id == SettingId::kDatabaseUrl && node.command.database_url_of_migrations)
      names.insert(names.begin(), "DATABASE_URL");
    text += "  " + wrapped(joined(names) + ": " + std::string(setting->flag), 4, width) + '\n';
  }
  const bool has_url = contains(settings, SettingId::kDatabaseUrl, &SettingDefinition::id);
  if (has_url) {
    text +=
        "  " +
        wrapped(
            "A password in a database URL is safer in the environment or the settings file: on the command line other "
            "users may see it for a moment.",
            2, width) +
        '\n';
  }
  return text;
}

std::string exit_codes_text(std::size_t width) {
  std::string text = heading("Exit codes");
  for (const auto& code : exit_codes())
    text += entry(std::to_string(static_cast<int>(code.code)), code.meaning, 1, width);
  return text;
}

}  // namespace

std::string joined(std::span<const std::string> words, std::string_view separator) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : std::string(separator)) + word;
  return text;
}

std::size_t help_width(const Console& console) {
  return console.out_is_terminal ? std::clamp<std::size_t>(console.columns, 40, kWidestHelp) : kWidestHelp;
}

const SettingDefinition* setting_of(const CLI::Option& option) {
  if (option.get_group() != "Settings" || option.get_lnames().empty()) return nullptr;
  const auto found =
      std::ranges::find(setting_definitions(), "--" + option.get_lnames().front(), &SettingDefinition::flag);
  return found == setting_definitions().end() ? nullptr : &*found;
}

std::vector<const SettingDefinition*> settings_of(const CommandNode& node) {
  std::vector<const SettingDefinition*> settings;
  for (const auto& definition : setting_definitions()) {
    if (contains(node.command.settings, definition.id)) settings.push_back(&definition);
  }
  return settings;
}

std::vector<const CLI::Option*> positionals(const CommandNode& node) {
  return std::as_const(*node.app).get_options([](const CLI::Option* option) { return option->get_positional(); });
}

std::vector<OptionGroup> option_groups(const CommandNode& node) {
  std::vector<OptionGroup> groups;
  for (const CLI::Option* option : std::as_const(*node.app).get_options()) {
    if (option->get_positional() || option->get_group().empty()) continue;
    const auto found = std::ranges::find(groups, option->get_group(), &OptionGroup::heading);
    if (found != groups.end()) {
      found->options.push_back(option);
    } else {
      groups.push_back({option->get_group(), {option}});
    }
  }
  const auto rank = [](const OptionGroup& group) {
    return group.heading == "Other options" ? 2 : group.heading == "Settings" ? 1 : 0;
  };
  std::ranges::stable_sort(groups, {}, rank);
  return groups;
}

std::string option_label(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string label;
  for (const auto& name : option.get_snames()) label += (label.empty() ? "-" : ", -") + name;
  for (const auto& name : option.get_lnames()) label += (label.empty() ? "--" : ", --") + name;
  const std::string type = option.get_type_name();
  if (option.get_expected_max() > 0) label += " " + type.substr(0, type.find(':'));  // CLI11 adds its checks
  return label;
}

std::string usage_line(const CommandNode& node) {
  std::string line = node.full_name();
  for (const auto* option : positionals(node)) {
    const std::string name = option->get_name(true);
    line += option->get_required() ? " " + name : " [" + name + "]";
  }
  if (!node.children.empty()) line += " COMMAND";
  return line + " [OPTIONS]";
}

std::vector<CommandGroup> command_groups(const CommandNode& node) {
  std::vector<CommandGroup> groups;
  for (const auto& child : node.children) {
    if (child.command.hidden) continue;
    const std::string& name = child.command.group.empty() ? "Commands" : child.command.group;
    const auto found = std::ranges::find(groups, name, &CommandGroup::heading);
    if (found != groups.end()) {
      found->commands.push_back(&child);
    } else {
      groups.push_back({name, {&child}});
    }
  }
  return groups;
}

std::string help_text(const CommandNode& node, std::size_t width) {
  std::string text = wrapped(node.full_name() + ": " + node.command.summary, 0, width) + "\n";
  if (!node.command.description.empty()) text += "\n" + paragraphs(node.command.description, width);
  text += "\nUsage: " + usage_line(node) + "\n";
  text += commands_text(node, width) + options_text(node, width) + examples_text(node, width) +
          environment_text(node, width);
  if (!node.parent || node.action) text += exit_codes_text(width);
  if (!node.children.empty()) text += "\n" + node.full_name() + " COMMAND --help explains a command.\n";
  return text;
}

}  // namespace hasigner::cli
