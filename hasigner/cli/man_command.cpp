#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

#include <CLI/CLI.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/contains.hpp"
#include "hasigner/cli/help.hpp"
#include "hasigner/duty/utf8.hpp"

namespace hasigner::cli {

namespace {

/// Text as roff takes it literally.
std::string roff(std::string_view text) {
  std::string escaped;
  bool at_line_start = true;
  while (const auto character = take_character(text)) {
    const char32_t c = *character;
    if (at_line_start && (c == '.' || c == '\'')) escaped += "\\&";
    at_line_start = c == '\n';
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else if (c < 0x80) {
      escaped += static_cast<char>(c);
    } else {
      std::array<char, 16> name{};
      std::snprintf(name.data(), name.size(), "\\[u%04X]", static_cast<unsigned>(c));
      escaped += name.data();
    }
  }
  return escaped;
}

std::string bold(std::string_view text) {
  return "\\fB" + roff(text) + "\\fR";
}

/// A tagged paragraph.
void entry(std::ostream& out, const std::string& tag, const std::string& text) {
  out << ".TP\n" << tag << '\n' << text << '\n';
}

void paragraphs(std::ostream& out, std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    if (end > 0) out << ".PP\n" << roff(text.substr(0, end)) << '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void examples(std::ostream& out, const std::vector<Example>& list) {
  for (const auto& example : list)
    out << ".PP\n" << roff(example.what) << ":\n.PP\n.RS 4\n.nf\n" << roff(example.command) << "\n.fi\n.RE\n";
}

void options(std::ostream& out, const CommandNode& node) {
  for (const auto* option : positionals(node))
    entry(out, "\\fI" + roff(option->get_name(true)) + "\\fR", roff(option->get_description()));
  std::vector<std::string> settings;
  for (const auto& group : option_groups(node)) {
    for (const auto* option : group.options) {
      if (group.heading == "Settings") {
        settings.push_back("--" + option->get_lnames().front());
      } else if (!contains(option->get_lnames(), "help")) {
        entry(out, bold(option_label(*option)),
              roff(option->get_description() + (option->get_required() ? " (required)" : "")));
      }
    }
  }
  if (!settings.empty()) out << ".PP\nSettings: " << roff(joined(settings)) << ".\n";
}

void command(std::ostream& out, const CommandNode& node) {
  if (node.action) {
    out << ".SS " << bold(usage_line(node)) << '\n' << roff(node.command.summary) << ".\n";
    if (!node.command.aliases.empty()) out << "Also " << bold(joined(node.command.aliases)) << ".\n";
    paragraphs(out, node.command.description);
    options(out, node);
    examples(out, node.command.examples);
    return;
  }
  out << ".SS " << bold(usage_line(node)) << '\n' << roff(node.command.summary) << ".\n";
  if (!node.command.aliases.empty()) out << "Also " << bold("ha-signer " + joined(node.command.aliases)) << ".\n";
  paragraphs(out, node.command.description);
}

void commands(std::ostream& out, const CommandNode& node) {
  for (const auto& child : node.children) {
    if (child.command.hidden) continue;
    command(out, child);
    commands(out, child);
  }
}

void settings(std::ostream& out) {
  out << "Each setting is a flag, an environment variable and a key of the settings file; a flag takes precedence over "
         "the "
         "variable, the variable over the "
         "file, the file over the default. An empty variable counts as not set.\n";
  for (const auto& definition : setting_definitions()) {
    const std::vector<std::string> names(definition.environment.begin(), definition.environment.end());
    std::string text = std::string(definition.meaning) + ".";
    if (!definition.fallback.empty()) text += " Default: " + std::string(definition.fallback) + ".";
    if (definition.most > 0)
      text += " Allowed: " + std::to_string(definition.least) + " to " + std::to_string(definition.most) + ".";
    entry(out,
          bold(definition.flag) +
              (definition.placeholder.empty() ? "" : " \\fI" + std::string(definition.placeholder) + "\\fR"),
          roff(text) + "\n.br\nVariable " + bold(joined(names, ", ")) + ", key " + bold(definition.key) + ".");
  }
}

void exit_status(std::ostream& out) {
  for (const auto& code : exit_codes())
    entry(out, bold(std::to_string(static_cast<int>(code.code))), roff(code.meaning) + ".");
}

ExitCode print_manual(Context& context) {
  const CommandNode& root = context.program.root();
  std::ostream& out = context.console.out;
  out << ".\\\" Made by: ha-signer man\n"
      << ".TH HA\\-SIGNER 1 \"\" \"ha\\-signer " << HASIGNER_VERSION << "\" \"User Commands\"\n"
      << ".SH NAME\nha\\-signer \\- " << roff(root.command.summary) << '\n'
      << ".SH SYNOPSIS\n"
      << bold("ha-signer") << " \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      << ".SH DESCRIPTION\n"
      << roff(root.command.description) << '\n'
      << ".SH COMMANDS\n";
  commands(out, root);
  out << ".SH SETTINGS\n";
  settings(out);
  out << ".SH ENVIRONMENT\n";
  entry(out, bold("HA_SIGNER_CONFIG"), "File of settings, unless \\-\\-config names one.");
  entry(out, bold("DATABASE_URL"), roff("For migrate: takes precedence over VALIDATOR_HA_DATABASE_URL."));
  out << ".PP\nSETTINGS lists the variables of all settings. A password in a database URL is safer there or in the "
         "settings file than on the "
         "command line, where other users may see it for a moment.\n"
      << ".SH FILES\nThe settings file is TOML: keys with plain values, no tables. It is used only if \\-\\-config or "
         "HA_SIGNER_CONFIG names it.\n"
      << ".PP\n.RS 4\n.nf\ndatabase_url = \"postgresql://signer:secret@db.example/ha\"\nnode_id = "
         "\"node\\-1\"\npool_max = 4\n.fi\n.RE\n"
      << ".SH EXIT STATUS\n";
  exit_status(out);
  out << ".PP\nWith \\-\\-json an error is also an object on standard output, with the fields error.kind, "
         "error.message and exit_code.\n"
      << ".SH EXAMPLES\n";
  examples(out, root.command.examples);
  return ExitCode::kSuccess;
}

}  // namespace

Command man_command() {
  return {.name = "man",
          .group = kShellGroup,
          .summary = "Print the manual page (roff)",
          .examples = {{"Read it", "ha-signer man | man -l -"}},
          .define = [](CLI::App&) -> Action { return print_manual; }};
}

}  // namespace hasigner::cli
