#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// What each fuzz target defines; a broken promise ends the program. libFuzzer, or replay.cpp, calls it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace hasigner::test {

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace hasigner::test
