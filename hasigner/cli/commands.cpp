#include "hasigner/cli/commands.hpp"

namespace hasigner::cli {

std::vector<Command> all_commands() {
  return {migrate_command(), config_command(), keys_command(),      doctor_command(),     serve_command(),
          health_command(),  token_command(),  sign_command(),      check_command(),      duties_command(),
          nodes_command(),   audit_command(),  watermark_command(), service_command(),    prune_command(),
          export_command(),  import_command(), help_command(),      completion_command(), man_command()};
}

}  // namespace hasigner::cli
