#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/utf8.hpp"

/// What each fuzz target defines; a broken promise ends the program. libFuzzer, or replay.cpp, calls it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace hasigner::test {

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

/// Shown text is UTF-8 without control characters, so that no terminal, log or JSON writer chokes on it.
inline void check_showable(std::string_view shown) {
  while (!shown.empty()) {
    const auto character = take_character(shown);
    HASIGNER_ASSERT(character && !is_control(*character));
  }
}

}  // namespace hasigner::test
