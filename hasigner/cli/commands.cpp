#include "hasigner/cli/commands.hpp"

namespace hasigner::cli {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
#ifdef HASIGNER_HAS_DEMO_COMMAND
  commands.push_back(demo_command());
#endif
#ifdef HASIGNER_HAS_DEMO_NODE_COMMAND
  commands.push_back(demo_node_command());
#endif
  commands.push_back(migrate_command());
  commands.push_back(config_command());
#ifdef HASIGNER_HAS_SIGN_COMMAND
  commands.push_back(sign_command());
#endif
#ifdef HASIGNER_HAS_CHECK_COMMAND
  commands.push_back(check_command());
#endif
  commands.push_back(duties_command());
  commands.push_back(nodes_command());
  commands.push_back(watermark_command());
  commands.push_back(prune_command());
  commands.push_back(export_command());
  commands.push_back(import_command());
  commands.push_back(help_command());
  commands.push_back(completion_command());
  commands.push_back(man_command());
  return commands;
}

}  // namespace hasigner::cli
