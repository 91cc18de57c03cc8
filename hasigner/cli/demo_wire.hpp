#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/crypto/secret_key.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner::cli {

/// What a node of the demonstration tells the program that started it, one line each.
struct DemoEvent {
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

[[nodiscard]] std::string to_line(const DemoEvent& event);
/// Nothing: the line is none of ours.
[[nodiscard]] std::optional<DemoEvent> parse_event(std::string_view line);

/// What a node is told before it starts. Travels by a pipe, so that keys stand in no process list and no file.
struct DemoNodeSetup {
  std::string author;  ///< the node in this life; makes its own data for proposals
  std::string node_id;
  std::string database_url;
  EthAddress rollup;
  std::size_t slots = 0;
  std::vector<SecretKey> keys;  ///< of the validators
};

/// Holds the keys in plain text: wipe() it as soon as it has been sent.
[[nodiscard]] std::string setup_text(const DemoNodeSetup& setup, const std::vector<SecretKey>& keys);
void wipe(std::string& text);

/// What a node is told while it runs.
struct DemoOrder {
  enum class Kind : std::uint8_t {
    kSlot,  ///< a slot begins: try all its duties
    kStop,
  };
  Kind kind = Kind::kStop;
  std::size_t slot_index = 0;
  std::chrono::milliseconds
      signing_takes{};  ///< as if the key were behind a slow service; none: the node does not dawdle
};

[[nodiscard]] std::string to_line(const DemoOrder& order);
[[nodiscard]] std::optional<DemoOrder> parse_order(std::string_view line);

/// Takes one line of a setup in. False: it is none of ours. `complete` becomes true with the last one.
[[nodiscard]] bool take_setup_line(std::string_view line, DemoNodeSetup& setup, bool& complete);

}  // namespace hasigner::cli
