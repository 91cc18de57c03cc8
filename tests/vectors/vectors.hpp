#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace hasigner::test {

struct KeccakVector {
  std::string input;
  std::string hash;
};

struct SignatureVector {
  std::string private_key;
  std::string public_key;
  std::string address;
  std::string checksum_address;
  std::string hash;
  std::string signature;
  std::string personal_digest;
  std::string personal_signature;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeccakVector, input, hash)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SignatureVector, private_key, public_key, address, checksum_address, hash, signature,
                                   personal_digest, personal_signature)

/// The values of tests/vectors/ethereum.json; the file names what made them. Throws when it holds none.
template <class Vector>
std::vector<Vector> ethereum_vectors(const char* name) {
  const auto vectors = nlohmann::json::parse(std::ifstream(HASIGNER_VECTORS "/ethereum.json")).at(name);
  if (vectors.empty()) throw std::runtime_error(std::string("no vectors: ") + name);
  return vectors;
}

inline std::vector<KeccakVector> keccak_vectors() {
  return ethereum_vectors<KeccakVector>("keccak");
}
inline std::vector<SignatureVector> signature_vectors() {
  return ethereum_vectors<SignatureVector>("signatures");
}

}  // namespace hasigner::test
