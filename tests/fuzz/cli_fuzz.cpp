// Files that the program reads, an exported history and settings, and the lines that the demonstration's nodes send.

#include <sys/mman.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "examples/demo/wire.hpp"
#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/history_file.hpp"
#include "hasigner/cli/settings_file.hpp"
#include "hasigner/duty/assert.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

std::string written(const cli::HistoryFile& file) {
  std::ostringstream out;
  cli::write_history(out, file);
  return out.str();
}

void check_history(std::string_view text) {
  const auto file = cli::parse_history(text);
  if (!file) return test::check_showable(file.error());
  const std::string once = written(*file);
  const auto again = cli::parse_history(once);
  HASIGNER_ASSERT(again && written(*again) == once);
}

void check_settings(std::string_view text) {
  const int file = memfd_create("settings", 0);
  HASIGNER_ASSERT(file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  try {
    for (const auto& setting : cli::read_settings_file("/proc/self/fd/" + std::to_string(file))) {
      test::check_showable(setting.given_as);
    }
  } catch (const cli::CommandError& error) {
    HASIGNER_ASSERT(error.code() == cli::ExitCode::kUsage);
    test::check_showable(error.what());
  }
  close(file);
}

/// Parsers get a line without its end.
std::string without_end(std::string line) {
  HASIGNER_ASSERT(line.find('\n') == line.size() - 1);
  line.pop_back();
  return line;
}

void check_wire(std::string_view text) {
  if (const auto event = demo::parse_event(text)) {
    const auto again = demo::parse_event(without_end(demo::to_line(*event)));
    HASIGNER_ASSERT(again && demo::to_line(*again) == demo::to_line(*event));
  }
  if (const auto command = demo::parse_command(text)) {
    HASIGNER_ASSERT(demo::parse_command(without_end(demo::to_line(*command))).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_history(text);
  check_settings(text);
  check_wire(text);
  return 0;
}
