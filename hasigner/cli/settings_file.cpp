#include "hasigner/cli/settings_file.hpp"

#include <algorithm>
#include <cstring>

// One source of the program reads TOML, so the parser is compiled here and nothing is linked.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/files.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kLargestFile = 1 << 20;

[[noreturn]] void refuse_setting(const std::string& where, const std::string& what) {
  throw CommandError(ExitCode::kUsage, where + ": " + what);
}

std::string location_of(const std::string& path, const toml::source_region& region) {
  return path + ":" + std::to_string(region.begin.line);
}

std::string text_of(const toml::node& node, const std::string& given_as) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto truth = node.value_exact<bool>()) return *truth ? "true" : "false";
  throw CommandError(ExitCode::kUsage, given_as + " must be a text, a whole number, true or false");
}

/// Before toml++ sees them: version 3.3 breaks an assertion of its own, and in release builds has undefined
/// behaviour, where the name of a table begins with a character that no name may have.
void refuse_tables(const std::string& content, const std::string& shown_path) {
  std::size_t line_number = 1;
  for (std::size_t begin = 0; begin < content.size(); ++line_number) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::size_t first = content.find_first_not_of(" \t", begin);
    if (first < end && content[first] == '[') {
      refuse_setting(shown_path + ":" + std::to_string(line_number), "the file has keys only, no tables");
    }
    begin = end + 1;
  }
}

std::string content_of(const std::string& path) {
  try {
    return read_file(path, kLargestFile);
  } catch (const CommandError& error) {
    throw CommandError(ExitCode::kUsage,
                       std::string("the settings file (--config, HA_SIGNER_CONFIG): ") + error.what());
  }
}

}  // namespace

std::vector<FileSetting> read_settings_file(const std::string& path) {
  const std::string shown = printable(path, 200);
  const std::string content = content_of(path);
  refuse_tables(content, shown);
  const toml::parse_result parsed = toml::parse(content, path);
  if (!parsed) {
    // What the parser says may quote a value that is a secret; where it is, is enough to find it.
    refuse_setting(location_of(shown, parsed.error().source()),
                   "this is not TOML, around column " + std::to_string(parsed.error().source().begin.column));
  }
  std::vector<FileSetting> settings;
  for (const auto& [key, node] : parsed.table()) {
    const std::string given_as = location_of(shown, node.source()) + ": " + printable(key.str());
    if (node.is_table()) refuse_setting(given_as, "the file has keys only, no tables");
    settings.push_back({std::string(key.str()), text_of(node, given_as), given_as});
  }
  return settings;
}

}  // namespace hasigner::cli
