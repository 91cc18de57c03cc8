#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// A number from 0 to 2^63-1, the range of a PostgreSQL bigint, that is not mixed up with other numbers.
template <class Tag>
class Number {
 public:
  static constexpr std::uint64_t kMax = 0x7fff'ffff'ffff'ffff;

  constexpr Number() = default;

  /// Errors: InvalidInput when `value` is above 2^63-1.
  [[nodiscard]] static Parsed<Number> from(std::uint64_t value, std::string_view field = Tag::kName) {
    if (value > kMax) return std::unexpected(InvalidInput{std::string(field), std::to_string(value), allowed()});
    return Number(value);
  }
  /// Errors: InvalidInput when `value` is negative.
  [[nodiscard]] static Parsed<Number> from_signed(std::int64_t value, std::string_view field = Tag::kName) {
    if (value < 0) return std::unexpected(InvalidInput{std::string(field), std::to_string(value), allowed()});
    return Number(static_cast<std::uint64_t>(value));
  }
  /// Reads decimal digits and nothing else.
  [[nodiscard]] static Parsed<Number> parse(std::string_view text, std::string_view field = Tag::kName) {
    std::uint64_t value = 0;
    const auto refuse = [&] { return std::unexpected(InvalidInput{std::string(field), printable(text), allowed()}); };
    if (text.empty() || text.size() > 19) return refuse();
    for (const char c : text) {
      if (c < '0' || c > '9') return refuse();
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (value > kMax) return refuse();
    return Number(value);
  }

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] std::string to_string() const { return std::to_string(value_); }
  friend constexpr auto operator<=>(const Number&, const Number&) = default;

 private:
  constexpr explicit Number(std::uint64_t value) : value_(value) {}
  static std::string allowed() { return "a whole number from 0 to 9223372036854775807"; }

  std::uint64_t value_ = 0;
};

struct SlotTag {
  static constexpr std::string_view kName = "slot";
};
struct BlockNumberTag {
  static constexpr std::string_view kName = "block number";
};
struct CheckpointNumberTag {
  static constexpr std::string_view kName = "checkpoint number";
};
using Slot = Number<SlotTag>;
using BlockNumber = Number<BlockNumberTag>;
using CheckpointNumber = Number<CheckpointNumberTag>;

/// What a validator is asked to sign.
enum class DutyType : std::uint8_t {
  kBlockProposal,
  kCheckpointProposal,
  kAttestation,
  kAttestationsAndSigners,
  kGovernanceVote,
  kSlashingVote,
  kAuthRequest,  ///< not protected: signing it twice is safe
  kTxs,          ///< not protected: signing it twice is safe
};

/// The six types that are protected, in the order of the enumeration.
inline constexpr std::array kProtectedDutyTypes = {DutyType::kBlockProposal,  DutyType::kCheckpointProposal,
                                                   DutyType::kAttestation,    DutyType::kAttestationsAndSigners,
                                                   DutyType::kGovernanceVote, DutyType::kSlashingVote};

/// `BLOCK_PROPOSAL` and so on, as the tables and the published package spell it.
[[nodiscard]] std::string_view to_string(DutyType type);
/// Errors: InvalidInput listing the types.
[[nodiscard]] Parsed<DutyType> parse_duty_type(std::string_view text);
/// Whether a duty of this type must go through the store (the published `isHAProtectedContext`).
[[nodiscard]] bool is_protected(DutyType type);

/// The value of the column block_index_within_checkpoint for types that have no block index.
inline constexpr std::int32_t kNoBlockIndex = -1;

/// What the caller says about the thing to sign, beside its hash.
struct SigningContext {
  DutyType duty_type = DutyType::kAttestation;
  Slot slot;
  std::optional<BlockNumber> block_number;
  std::optional<CheckpointNumber> checkpoint_number;
  /// Required for block proposals (0 to 2^31-1), to be left out (or -1) for every other type.
  std::optional<std::int64_t> block_index;
};

/// One thing that a validator must sign: the primary key of the table.
struct DutyKey {
  EthAddress rollup;
  EthAddress validator;
  Slot slot;
  DutyType duty_type = DutyType::kAttestation;
  std::int32_t block_index = kNoBlockIndex;

  /// The order in which every batch takes its locks: the bytes of the key, then numbers.
  friend constexpr auto operator<=>(const DutyKey&, const DutyKey&) = default;
  /// For people: `BLOCK_PROPOSAL of 0x… for slot 5, block index 0`.
  [[nodiscard]] std::string describe() const;
};

struct DutyKeyHash {
  std::size_t operator()(const DutyKey& key) const;
};

/// A duty with everything that its row says about it besides who signs it.
struct Duty {
  DutyKey key;
  BlockNumber block_number;            ///< 0 where the type carries none
  CheckpointNumber checkpoint_number;  ///< 0 where the type carries none
  MessageHash message_hash;
};

/// Makes the duty of a protected context, or says which field is wrong.
///
/// Errors: InvalidInput for a type that is not protected, a block proposal without block index or with one outside
/// 0 to 2^31-1, another type with a block index.
[[nodiscard]] Parsed<Duty> make_duty(const EthAddress& rollup, const EthAddress& validator,
                                     const MessageHash& message_hash, const SigningContext& context);

}  // namespace hasigner
