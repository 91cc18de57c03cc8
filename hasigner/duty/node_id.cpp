#include "hasigner/duty/node_id.hpp"

#include <optional>

#include "hasigner/duty/utf8.hpp"

namespace hasigner {

namespace {

/// The number of characters of valid UTF-8 without control characters; nothing for any other text.
std::optional<std::size_t> count_characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) {
    const auto character = take_character(text);
    if (!character || is_control(*character)) return std::nullopt;
  }
  return count;
}

}  // namespace

Parsed<NodeId> NodeId::parse(std::string_view text, std::string_view field) {
  const auto characters = count_characters(text);
  if (!characters || *characters < 1 || *characters > 255) {
    return std::unexpected(
        InvalidInput{std::string(field), printable(text), "1 to 255 characters of UTF-8 without control characters"});
  }
  return NodeId(std::string(text));
}

}  // namespace hasigner
