#include <iostream>

#include "hasigner/cli/command.hpp"

namespace hasigner::cli {

bool Console::confirm(const std::string& question) const {
  if (!can_ask) return false;
  err << question << " [y/N] " << std::flush;
  std::string answer;
  if (!std::getline(in, answer)) return false;
  return answer.starts_with('y') || answer.starts_with('Y');
}

}  // namespace hasigner::cli
