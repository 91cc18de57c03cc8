#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "hasigner/hasigner.hpp"

namespace hasigner::bench {

inline constexpr std::size_t kValidators = 1000;

/// The rollup of all duties of the bench.
[[nodiscard]] EthAddress bench_rollup();

/// Says which address validator number 0 to 999 has.
using AddressOf = std::function<EthAddress(std::size_t)>;

/// Number i + 1 as 20 bytes.
[[nodiscard]] EthAddress bench_address(std::size_t validator);

/// Addresses that no other process warms up with.
[[nodiscard]] AddressOf private_addresses();

/// The private keys i + 1 as 32 bytes, and their addresses.
class BenchKeys {
 public:
  BenchKeys();

  [[nodiscard]] const EthAddress& address(std::size_t validator) const { return addresses_.at(validator); }
  [[nodiscard]] Signature sign(std::size_t validator, const MessageHash& hash) const;

 private:
  std::vector<SecretKey> keys_;
  std::vector<EthAddress> addresses_;
};

/// Attestations in slot order, every validator once a slot, each with a message hash of its own.
[[nodiscard]] std::vector<SignRequest> make_duties(std::size_t count, std::uint64_t first_slot,
                                                   const AddressOf& address_of = bench_address);

/// Costs nothing: the same bytes for every duty.
[[nodiscard]] Signature no_op_signature();
[[nodiscard]] asio::awaitable<SignOutcome> no_op_sign(SignRequest request);

/// The duties with the function that signs each: no work at all, or the validator's key on a thread for such work.
/// `effects` says whether the signature may be made before the claim.
[[nodiscard]] std::vector<SignCall> no_op_calls(const std::vector<SignRequest>& duties, SignEffects effects);
[[nodiscard]] std::vector<SignCall> key_calls(const std::vector<SignRequest>& duties, SignEffects effects,
                                              const HaNode& node, const std::shared_ptr<const BenchKeys>& keys);

}  // namespace hasigner::bench
