#pragma once

namespace hasigner::demo {

/// One signing node: reads its setup and its commands from standard input, and writes what happens to standard output.
///
/// Returns false when it could not start; the reason has been written. Errors: std::runtime_error for a wrong setup.
[[nodiscard]] bool run_node();

}  // namespace hasigner::demo
