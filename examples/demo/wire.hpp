#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner::demo {

/// What a node reports to the program that started it, one line each.
struct NodeEvent {
  enum class Kind : std::uint8_t {
    kReady,          ///< registered, and able to sign
    kHolding,        ///< the sign function was called: the node holds the duty's lock
    kSigned,         ///< it released a signature
    kAlreadySigned,  ///< refused: the same data; with the recorded signature, if it was given one
    kOtherData,      ///< refused: other data has been signed
    kTriedAgain,     ///< the attempt failed for another reason and is repeated
    kGaveUp,         ///< the node will not try this duty again; `text` says why
    kTakenOver,      ///< it took an abandoned duty over, with the same data
    kReplaced,       ///< it replaced an abandoned duty
    kSlotDone,       ///< nothing is left to try in this slot
    kFailed,         ///< it cannot go on
  };
  Kind kind = Kind::kReady;
  std::size_t number = 0;  ///< of the duty, or of the slot for kSlotDone
  std::chrono::microseconds took{};
  std::optional<MessageHash> message;
  std::optional<Signature> signature;
  std::string text = {};
};

[[nodiscard]] std::string to_line(const NodeEvent& event);
/// Returns nullopt when the line is not an event.
[[nodiscard]] std::optional<NodeEvent> parse_event(std::string_view line);

/// What a node gets before it starts. It travels by a pipe, so that no process list and no file shows the keys.
struct NodeSetup {
  std::string author;  ///< the node in this life; makes its own data for proposals
  std::string node_id;
  std::string database_url;
  EthAddress rollup;
  std::size_t slots = 0;
  std::vector<SecretKey> keys;  ///< of the validators
};

/// Holds the keys in plain text: wipe() it as soon as it has been sent.
[[nodiscard]] std::string setup_text(const NodeSetup& setup, const std::vector<SecretKey>& keys);
void wipe(std::string& text);

/// What a node gets to do while it runs.
struct NodeCommand {
  enum class Kind : std::uint8_t {
    kSlot,  ///< a slot begins: try all its duties
    kStop,
  };
  Kind kind = Kind::kStop;
  std::size_t slot_index = 0;
  std::chrono::milliseconds signing_takes{};  ///< as if the key were behind a slow service; 0: at once
};

[[nodiscard]] std::string to_line(const NodeCommand& command);
/// Returns nullopt when the line is not a command.
[[nodiscard]] std::optional<NodeCommand> parse_command(std::string_view line);

/// Adds one line to a setup. False: it does not belong to a setup. `complete` becomes true with the last line.
[[nodiscard]] bool take_setup_line(std::string_view line, NodeSetup& setup, bool& complete);

}  // namespace hasigner::demo
