#include <algorithm>
#include <utility>

#include <CLI/CLI.hpp>

#include "hasigner/cli/contains.hpp"
#include "hasigner/cli/program.hpp"

namespace hasigner::cli {

namespace {

void add_settings(CommandNode& node) {
  if (node.command.settings.empty()) return;
  for (const auto& definition : setting_definitions()) {
    if (!contains(node.command.settings, definition.id)) continue;
    std::string& value = node.flags[definition.id];
    const std::string name(definition.flag);
    const std::string meaning(definition.meaning);
    CLI::Option* option =
        definition.kind == SettingKind::kBoolean
            ? node.app->add_flag(name, value, meaning)->multi_option_policy(CLI::MultiOptionPolicy::Throw)
            : node.app->add_option(name, value, meaning)->type_name(std::string(definition.placeholder));
    option->group("Settings");
  }
  node.app->add_option("--config", node.config_file, "File of settings (TOML); without it HA_SIGNER_CONFIG names one")
      ->type_name("FILE")
      ->group("Settings");
}

void build(CommandNode& node, CLI::App& app) {
  node.app = &app;
  app.set_help_flag("-h,--help", "Show this help and exit")->group("Other options");
  app.require_subcommand(0, 1);
  if (node.command.define) node.action = node.command.define(app);
  add_settings(node);
  for (Command& command : node.command.subcommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    for (const auto& alias : command.aliases) sub->alias(alias);
    if (command.hidden) sub->group("");
    CommandNode& child = node.children.emplace_back();
    child.command = std::move(command);
    child.parent = &node;
    build(child, *sub);
  }
  node.command.subcommands.clear();
}

}  // namespace

std::string CommandNode::full_name() const {
  return parent ? parent->full_name() + " " + command.name : command.name;
}

const CommandNode* CommandNode::child(std::string_view name) const {
  const auto is_it = [&](const CommandNode& node) {
    return node.command.name == name || contains(node.command.aliases, name);
  };
  const auto found = std::ranges::find_if(children, is_it);
  return found == children.end() ? nullptr : &*found;
}

CommandTree::CommandTree(std::vector<Command> commands) : app_(std::make_unique<CLI::App>()) {
  root_.command.name = "ha-signer";
  root_.command.summary = "one signature for every duty of an Aztec validator that runs on several nodes";
  root_.command.description =
      "Several nodes that hold the same attester keys share a database. For each duty exactly one message is ever "
      "signed and "
      "released, and it is signed as long as one node is alive.";
  root_.command.subcommands = std::move(commands);
  root_.command.examples = {
      {"Prepare a PostgreSQL database; the variable keeps its password out of the process list",
       "VALIDATOR_HA_DATABASE_URL=postgresql://signer:secret@db/ha ha-signer migrate up"},
      {"The latest duties, and the nodes that signed them", "ha-signer duties list --database-url sqlite:signer.db"},
      {"Which settings are in force, and where each comes from", "ha-signer config"},
  };
  app_->name("ha-signer");
  app_->set_version_flag("--version", version_text, "Show the version and the schema versions understood, and exit")
      ->group("Other options");
  build(root_, *app_);
}

CommandTree::~CommandTree() = default;

}  // namespace hasigner::cli
