#include "hasigner/duty/node_id.hpp"

#include <cstdint>
#include <optional>

namespace hasigner {

namespace {

/// The number of characters of valid UTF-8 without control characters; nothing for any other text.
std::optional<std::size_t> count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 0;
    if (length == 0 || i + length > text.size()) return std::nullopt;
    std::uint32_t code = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return std::nullopt;
      code = code << 6 | (next & 0x3f);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff));
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (overlong || control || (code >= 0xd800 && code < 0xe000)) return std::nullopt;
    i += length;
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
