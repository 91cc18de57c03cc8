#include <algorithm>
#include <ostream>

#include <CLI/CLI.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/help.hpp"
#include "hasigner/cli/nearest.hpp"

namespace hasigner::cli {

namespace {

ExitCode show_help(const std::vector<std::string>& words, Context& context) {
  const CommandNode* node = &context.program.root();
  for (const auto& word : words) {
    const CommandNode* next = node->child(word);
    if (!next) {
      std::vector<std::string> known;
      known.reserve(node->children.size());
      for (const auto& child : node->children) known.push_back(child.command.name);
      throw CommandError(ExitCode::kUsage, "'" + printable(word) + "' is not a command of " + node->full_name() +
                                               did_you_mean(word, known));
    }
    node = next;
  }
  context.console.out << help_text(*node, help_width(context.console));
  return ExitCode::kSuccess;
}

}  // namespace

Command help_command() {
  return {.name = "help", .group = kShellGroup, .summary = "Explain a command", .define = [](CLI::App& app) -> Action {
            auto words = std::make_shared<std::vector<std::string>>();
            app.add_option("COMMAND", *words, "The command, for example: duties list");
            return [words](Context& context) { return show_help(*words, context); };
          }};
}

}  // namespace hasigner::cli
