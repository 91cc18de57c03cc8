#include "hasigner/cli/output.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

namespace hasigner::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;
constexpr int kOneLine = -1;

void print(std::ostream& out, const Json& object, int indent) {
  // In ASCII: a terminal shows every character of a text that others wrote, and a reader of JSON gets the same text.
  constexpr bool kInAscii = true;
  out << object.dump(indent, ' ', kInAscii, Json::error_handler_t::replace) << '\n';
}

}  // namespace

void add_json_flag(CLI::App& app, Output& output, const std::string& meaning) {
  app.add_flag_callback(
      "--json", [&output] { output = Output::kJson; }, meaning);
}

void print_json(std::ostream& out, const Json& object) {
  print(out, object, kIndent);
}

void print_json_line(std::ostream& out, const Json& object) {
  print(out, object, kOneLine);
}

}  // namespace hasigner::cli
