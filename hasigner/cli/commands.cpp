#include "hasigner/cli/commands.hpp"

namespace hasigner::cli {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
#ifdef HASIGNER_HAS_SIGN_COMMAND
  commands.push_back(sign_command());
#endif
#ifdef HASIGNER_HAS_CHECK_COMMAND
  commands.push_back(check_command());
#endif
#ifdef HASIGNER_HAS_DEMO_COMMAND
  commands.push_back(demo_command());
#endif
#ifdef HASIGNER_HAS_DEMO_NODE_COMMAND
  commands.push_back(demo_node_command());
#endif
  commands.push_back(config_command());
  commands.push_back(help_command());
  return commands;
}

}  // namespace hasigner::cli
