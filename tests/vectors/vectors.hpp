#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

namespace hasigner::test {

/// The values of tests/vectors/ethereum.json; the file names what made them.
inline const nlohmann::json& ethereum_vectors() {
  static const auto vectors = nlohmann::json::parse(std::ifstream(HASIGNER_VECTORS "/ethereum.json"));
  return vectors;
}

}  // namespace hasigner::test
