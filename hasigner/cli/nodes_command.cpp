#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/table.hpp"

namespace hasigner::cli {

namespace {

void print_json(const std::vector<NodeEntry>& nodes, std::ostream& out) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& node : nodes) {
    list.push_back({{"node_id", node.node_id},
                    {"alive", node.alive},
                    {"heartbeat_at", iso_time(node.heartbeat_at)},
                    {"incarnation", node.incarnation},
                    {"earlier_incarnations", node.earlier_incarnations}});
  }
  const nlohmann::ordered_json object = {{"nodes", std::move(list)}};
  out << object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
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

ExitCode show_nodes(bool json, Context& context) {
  Database database(context.settings, MissingFile::kRefuse);
  const auto nodes = database.wait_for(database.history().nodes(Database::within(kLookTimeout)));
  if (json) {
    print_json(nodes, context.console.out);
  } else if (nodes.empty()) {
    context.console.err << "no node has registered in " << database.shown_url()
                        << " (nodes of the published package never do)\n";
  } else {
    print_people(nodes, context.console);
  }
  return ExitCode::kSuccess;
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
            auto json = std::make_shared<bool>(false);
            app.add_flag("--json", *json, "Print one JSON object");
            return [json](Context& context) { return show_nodes(*json, context); };
          }};
}

}  // namespace hasigner::cli
