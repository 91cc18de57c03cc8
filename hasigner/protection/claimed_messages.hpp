#pragma once

#include <compare>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

/// A message that a node has claimed by a row *signing* of its own, and wants signed.
struct ClaimedMessage {
  /// What finds the row, and in which order a batch takes its locks.
  struct Key {
    EthAddress rollup;
    EthAddress validator;
    MessageHash message_hash;  ///< as the node writes it into its row
    MessageHash digest;        ///< what is signed: for `eth_sign` another one

    friend auto operator<=>(const Key&, const Key&) = default;
  };

  Key key;
  std::vector<DutyType> duty_types;    ///< that the message can be of
  std::optional<Slot> slot;            ///< where the message says its slot
  std::optional<Signature> signature;  ///< nullopt while it is not made: then the message is only reserved
  /// A row with a later slot is refused as above a high watermark of this slot; nullopt: every slot is plausible.
  std::optional<Slot> latest_slot = std::nullopt;
};

[[nodiscard]] inline const ClaimedMessage::Key& key_of(const ClaimedMessage& message) {
  return message.key;
}

/// What became of a claimed message.
///
/// Released: it is the one message of each duty that is claimed for it: committed, as durable as a record. It holds the
/// signature that stands, the first one that was written. NotClaimed: no row *signing* has it. Locked: another
/// transaction holds a row; ask again.
struct Released {
  std::optional<Signature> signature;
  std::vector<DutyKey> duties = {};  ///< that are claimed for it
};
struct NotClaimed {};
struct ClaimLocked {};
using ClaimedOutcome = std::variant<Released, NotClaimed, ClaimLocked, SlashingProtection, OutsideWatermark>;

/// What a database has about a claimed message. The texts are as they are written there, by any client.
struct FoundDuty {
  enum class What : std::uint8_t {
    kRow,       ///< a row that has the message
    kReleased,  ///< the message was released for this duty
    kInstead,   ///< the newest row of a duty that the message could be of, with another message
  };
  What what = What::kRow;
  std::string rollup, validator, slot, duty_type, block_index, status, message_hash, node_id;
};

/// Port: releases signatures on the claims of nodes that have no fence, by rows of our own.
///
/// For each duty the first message that is released stays the only one, whatever becomes of the node's row; attempts of
/// this program see it too, and record no other message. So a node that claims a duty again for other data gets no
/// signature for it.
/// Thread safety: as Store.
class ClaimedMessages {
 public:
  virtual ~ClaimedMessages() = default;

  /// Writes each message as the one that is released for its duties, if a row *signing* has it, nothing else has been
  /// released for them, and they are within the watermarks.
  ///
  /// Effects: one statement, one transaction, never cancelled, as durable as a record. A repetition is confirmed again.
  /// Errors: kUnavailable (nothing was written), kInDoubt (ask again).
  [[nodiscard]] virtual StoreBatch<ClaimedOutcome> release_claimed(NodeId node_id, std::vector<ClaimedMessage> messages,
                                                                   MonotonicTime deadline) = 0;

  /// Finds what there is about a message that no row *signing* has.
  ///
  /// Effects: one statement, which only reads. Rows that are being signed are found whatever their number, others among
  /// the newest 500 of the validator.
  [[nodiscard]] virtual asio::awaitable<StoreResult<std::vector<FoundDuty>>> about_message(ClaimedMessage message,
                                                                                           MonotonicTime deadline) = 0;
};

}  // namespace hasigner
