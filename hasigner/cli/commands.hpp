#pragma once

#include "hasigner/cli/command.hpp"

namespace hasigner::cli {

// One file each: sign_command.cpp and so on.
[[nodiscard]] Command sign_command();
[[nodiscard]] Command check_command();
[[nodiscard]] Command serve_command();
[[nodiscard]] Command health_command();
[[nodiscard]] Command token_command();
[[nodiscard]] Command audit_command();
[[nodiscard]] Command service_command();

[[nodiscard]] Command duties_command();
[[nodiscard]] Command nodes_command();
[[nodiscard]] Command watermark_command();
[[nodiscard]] Command prune_command();
[[nodiscard]] Command export_command();
[[nodiscard]] Command import_command();
[[nodiscard]] Command migrate_command();
[[nodiscard]] Command config_command();
[[nodiscard]] Command keys_command();
[[nodiscard]] Command doctor_command();  // in doctor/
[[nodiscard]] Command help_command();
[[nodiscard]] Command completion_command();
[[nodiscard]] Command man_command();

/// Every command of the program, in the order in which help lists them.
[[nodiscard]] std::vector<Command> all_commands();

}  // namespace hasigner::cli
