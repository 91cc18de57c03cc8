#pragma once

#include <string>

namespace hasigner::sqlite {

/// A history of another program, and which state of it: another text once it has changed.
struct ImportSource {
  std::string name;
  std::string state;
};

}  // namespace hasigner::sqlite
