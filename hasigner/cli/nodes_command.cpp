#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/table.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

namespace {

void print_nodes_json(const std::vector<NodeEntry>& nodes, std::ostream& out) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& node : nodes) {
    list.push_back({{"node_id", node.node_id},
                    {"alive", node.alive},
                    {"heartbeat_at", iso_time(node.heartbeat_at)},
                    {"incarnation", node.incarnation},
                    {"earlier_incarnations", node.earlier_incarnations}});
  }
  print_json(out, {{"nodes", std::move(list)}});
}

void print_people(const std::vector<NodeEntry>& nodes, const Console& console) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(nodes.size());
  for (const auto& node : nodes) {
    rows.push_back({node.node_id, node.alive ? "alive" : "not alive", without_fraction(node.heartbeat_at),
                    node.incarnation, std::to_string(node.earlier_incarnations)});
  }
  print_table(console.out,
              {{.heading = "NODE", .least = 6},
               {.heading = "STATE", .least = 9},
               {.heading = "LAST HEARTBEAT (UTC)", .least = 19},
               {.heading = "INCARNATION", .least = 16, .can_drop = true},
               {.heading = "EARLIER", .right = true, .least = 7, .can_drop = true}},
              rows, console.out_is_terminal ? console.columns : 0);
}

ExitCode show_nodes(Output output, Context& context) {
  Database database(context.settings, MissingFile::kRefuse);
  const auto nodes = database.wait_for(database.history().nodes(Database::within(kLookTimeout)));
  if (output == Output::kJson) {
    print_nodes_json(nodes, context.console.out);
  } else if (nodes.empty()) {
    context.console.err << "no node has registered in " << database.shown_url()
                        << " (nodes of the published package never do)\n";
  } else {
    print_people(nodes, context.console);
  }
  return ExitCode::kSuccess;
}

struct RemoveOptions {
  std::string node_id;
  Output output = Output::kText;
};

[[noreturn]] void refuse(NodeRemoval outcome, const NodeId& node_id) {
  const std::string node = "node " + printable(node_id.str());
  switch (outcome) {
    case NodeRemoval::kUnknown: throw CommandError(ExitCode::kUsage, node + " is not registered; see: ha-signer nodes");
    case NodeRemoval::kAlive:
      throw CommandError(ExitCode::kFailure,
                         node + " is alive: stop it first (after a crash its lease ends by itself)");
    case NodeRemoval::kStillSigns:
      throw CommandError(ExitCode::kFailure,
                         "duties are still being signed under " + node +
                             "; see them with: ha-signer duties list --status signing --node NODE_ID. Start the node "
                             "once more, and it clears up what it left behind");
    case NodeRemoval::kRemoved: break;
  }
  HASIGNER_ASSERT(false);
}

ExitCode remove_node(const RemoveOptions& options, Context& context) {
  const NodeId node_id = accepted(NodeId::parse(options.node_id, "NODE_ID"));
  Database database(context.settings, MissingFile::kRefuse);
  const auto outcome = database.wait_for(database.history().remove_node(node_id, Database::within(kLookTimeout)));
  if (outcome != NodeRemoval::kRemoved) refuse(outcome, node_id);
  if (options.output == Output::kJson) {
    print_json(context.console.out, {{"removed", node_id.str()}});
  } else {
    context.console.out << "removed node " << printable(node_id.str()) << " from " << database.shown_url() << '\n';
  }
  return ExitCode::kSuccess;
}

Command remove_command() {
  return {
      .name = "remove",
      .summary = "Forget a node that is gone for good",
      .description =
          "Takes the node out of the list of nodes; what it signed stays. A node that is alive, or under whose id a "
          "duty is still being signed, is not removed.",
      .examples = {{"A machine that was taken down", "ha-signer nodes remove node-3 --database-url sqlite:signer.db"}},
      .settings = {SettingId::kDatabaseUrl},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<RemoveOptions>();
        app.add_option("NODE_ID", options->node_id, "The node")->type_name("NODE_ID")->required();
        add_json_flag(app, options->output);
        return [options](Context& context) { return remove_node(*options, context); };
      }};
}

}  // namespace

Command nodes_command() {
  return {.name = "nodes",
          .group = kInspectionGroup,
          .summary = "Show the nodes that share the database, and which are alive",
          .description =
              "Nodes of the published package do not register; their ids stand with the duties that they signed.",
          .settings = {SettingId::kDatabaseUrl},
          .define = [](CLI::App& app) -> Action {
            auto output = std::make_shared<Output>(Output::kText);
            add_json_flag(app, *output);
            return [output](Context& context) { return show_nodes(*output, context); };
          },
          .subcommands = {remove_command()}};
}

}  // namespace hasigner::cli
