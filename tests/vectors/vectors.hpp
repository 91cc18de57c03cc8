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

struct TypedDataVector {
  std::string name;
  std::string json;
  std::string digest;
  std::string signature;
};

struct PersonalVector {
  std::string message;
  std::string digest;
  std::string signature;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeccakVector, input, hash)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TypedDataVector, name, json, digest, signature)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PersonalVector, message, digest, signature)
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

/// tests/vectors/typed_data.json: what one key signs.
struct SignedDataVectors {
  std::string private_key;
  std::vector<TypedDataVector> typed_data;
  std::vector<PersonalVector> personal;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SignedDataVectors, private_key, typed_data, personal)

inline SignedDataVectors signed_data_vectors() {
  const SignedDataVectors vectors = nlohmann::json::parse(std::ifstream(HASIGNER_VECTORS "/typed_data.json"));
  if (vectors.typed_data.empty() || vectors.personal.empty()) throw std::runtime_error("no vectors of typed data");
  return vectors;
}

struct MnemonicVector {
  std::string mnemonic;
  std::uint32_t account;
  std::uint32_t address;
  std::string private_key;
  std::string eth_address;
};
struct EncryptedKeyVector {
  std::string password;
  std::string private_key;
  std::string json;
};
/// tests/vectors/keys.json.
struct KeyVectors {
  std::vector<MnemonicVector> mnemonics;
  std::vector<EncryptedKeyVector> files;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MnemonicVector, mnemonic, account, address, private_key, eth_address)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(EncryptedKeyVector, password, private_key, json)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeyVectors, mnemonics, files)

inline KeyVectors key_vectors() {
  const KeyVectors vectors = nlohmann::json::parse(std::ifstream(HASIGNER_VECTORS "/keys.json"));
  if (vectors.mnemonics.empty() || vectors.files.empty()) throw std::runtime_error("no vectors of keys");
  return vectors;
}

}  // namespace hasigner::test
