#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>

// NOLINTNEXTLINE(readability-identifier-naming): the name is CLI11's.
namespace CLI {
class App;
}  // namespace CLI

namespace hasigner::cli {

/// How a command prints its answer.
enum class Output : std::uint8_t {
  kText,  ///< for people
  kJson,  ///< for programs
};

/// Adds the flag `--json`.
void add_json_flag(CLI::App& app, Output& output, const std::string& meaning = "Print one JSON object");

/// Prints an object, indented; bytes that are not UTF-8 are replaced.
void print_json(std::ostream& out, const nlohmann::ordered_json& object);
/// The same in one line.
void print_json_line(std::ostream& out, const nlohmann::ordered_json& object);

}  // namespace hasigner::cli
