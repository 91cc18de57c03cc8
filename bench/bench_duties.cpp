#include "bench/bench_duties.hpp"

#include <random>
#include <stdexcept>
#include <utility>

namespace hasigner::bench {

namespace {

/// The number in the last eight bytes, big-endian.
template <class Bytes>
Bytes numbered(std::uint64_t number) {
  Bytes value;
  for (auto byte = value.bytes().rbegin(); number != 0; ++byte, number >>= 8) *byte = static_cast<std::uint8_t>(number);
  return value;
}

Slot slot_at(std::uint64_t number) {
  const auto slot = Slot::from(number);
  if (!slot) throw std::runtime_error(slot.error().message());
  return *slot;
}

SignRequest attestation(const EthAddress& validator, std::uint64_t slot, std::uint64_t number) {
  return {
      .validator = validator,
      .message_hash = numbered<MessageHash>(number),
      .context = {.duty_type = DutyType::kAttestation, .slot = slot_at(slot), .block_number = *BlockNumber::from(1)}};
}

}  // namespace

EthAddress bench_rollup() {
  EthAddress rollup;
  rollup.bytes().fill(0x11);
  return rollup;
}

EthAddress bench_address(std::size_t validator) {
  return numbered<EthAddress>(validator + 1);
}

AddressOf private_addresses() {
  EthAddress prefix;
  std::random_device random;
  for (auto& byte : prefix.bytes()) byte = static_cast<std::uint8_t>(random());
  return [prefix](std::size_t validator) {
    auto address = prefix;
    auto& bytes = address.bytes();
    bytes[18] = static_cast<std::uint8_t>(validator >> 8);
    bytes[19] = static_cast<std::uint8_t>(validator);
    return address;
  };
}

BenchKeys::BenchKeys() {
  keys_.reserve(kValidators);
  addresses_.reserve(kValidators);
  for (std::size_t i = 0; i < kValidators; ++i) {
    auto key = SecretKey::from_bytes(numbered<MessageHash>(i + 1).bytes());
    if (!key) throw std::runtime_error(key.error().message());
    addresses_.push_back(address_of(*key));
    keys_.push_back(std::move(*key));
  }
}

Signature BenchKeys::sign(std::size_t validator, const MessageHash& hash) const {
  return hasigner::sign(keys_.at(validator), hash);
}

std::vector<SignRequest> make_duties(std::size_t count, std::uint64_t first_slot, const AddressOf& address_of) {
  std::vector<EthAddress> validators;
  for (std::size_t i = 0; i < std::min(count, kValidators); ++i) validators.push_back(address_of(i));
  std::vector<SignRequest> duties;
  duties.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    duties.push_back(
        attestation(validators[i % kValidators], first_slot + i / kValidators, first_slot * kValidators + i));
  }
  return duties;
}

Signature no_op_signature() {
  Signature signature;
  signature.bytes().fill(0x5a);
  signature.bytes().back() = 0x1b;
  return signature;
}

asio::awaitable<SignOutcome> no_op_sign(SignRequest /*request*/) {
  co_return no_op_signature();
}

std::vector<SignCall> no_op_calls(const std::vector<SignRequest>& duties, SignEffects effects) {
  std::vector<SignCall> sign_calls;
  sign_calls.reserve(duties.size());
  for (const auto& duty : duties) sign_calls.push_back({duty, no_op_sign, effects});
  return sign_calls;
}

std::vector<SignCall> key_calls(const std::vector<SignRequest>& duties, SignEffects effects, const HaNode& node,
                                const std::shared_ptr<const BenchKeys>& keys) {
  std::vector<SignFunction> functions;
  for (std::size_t i = 0; i < std::min(duties.size(), kValidators); ++i) {
    functions.push_back(node.blocking(
        [keys, i](const SignRequest& request) -> SignOutcome { return keys->sign(i, request.message_hash); }));
  }
  std::vector<SignCall> sign_calls;
  sign_calls.reserve(duties.size());
  for (std::size_t i = 0; i < duties.size(); ++i)
    sign_calls.push_back({duties[i], functions[i % kValidators], effects});
  return sign_calls;
}

}  // namespace hasigner::bench
